"""Films of the toy world: videos of any length that are in no split, for looking moments up in a file.

A film is written like every other script, with as many events a minute, from a stream of random numbers that no split
draws from: no run has ever seen one.
"""

import numpy as np

from vmlkit.data.toyworld.script import ToyVideo, write_script
from vmlkit.errors import ConfigError

#: of the random numbers of a film, where a video has the number of its split
FILM = 3
#: seconds of a film for each of its events; a video of a split has one in 10 seconds too
SECONDS_PER_EVENT = 10.0


def make_film(seed: int = 0, seconds: float = 60.0, world_seed: int = 0) -> ToyVideo:
    """The script of a film.

    Args:
        seed: which film; one seed is one film of each length.
        seconds: how long it lasts.
        world_seed: of the world, as in :class:`vmlkit.data.toyworld.config.ToyConfig`.

    Raises:
        ConfigError: for a negative seed, or a film shorter than 20 seconds or longer than ten minutes.
    """
    if seed < 0 or world_seed < 0:
        raise ConfigError(f"the seed of a film must be at least 0, not {min(seed, world_seed)}")
    if not 20 <= seconds <= 600:
        raise ConfigError(f"a film lasts from 20 to 600 seconds, not {seconds:g}")
    rng = np.random.default_rng([world_seed, FILM, seed, round(10 * seconds)])
    count = max(2, round(seconds / SECONDS_PER_EVENT))
    return write_script(rng, "film", seed, float(seconds), count, f"toy-film-{seed:05d}", "default")
