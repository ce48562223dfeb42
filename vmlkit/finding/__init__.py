"""Moments in a file of video: encode it once, then ask sentence after sentence."""
