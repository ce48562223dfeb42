// The part of anywidget's model that the modules use, over a plain object; HOST, STATE and DATA stand before it.
{
  const host = document.getElementById(HOST);
  const state = { ...STATE };
  if (DATA) state.data = new DataView(Uint8Array.from(atob(DATA), (c) => c.charCodeAt(0)).buffer);
  const listeners = {};
  const model = {
    get: (name) => state[name],
    set: (name, value) => {
      state[name] = value;
      (listeners[`change:${name}`] ?? []).slice().forEach((callback) => callback());
    },
    on: (event, callback) => (listeners[event] ??= []).push(callback),
    off: (event, callback) => { listeners[event] = (listeners[event] ?? []).filter((c) => c !== callback); },
    save_changes: () => {},
  };
  host.replaceChildren();
  render({ model, el: host });
}
