"""What the repository makes of itself: the site, the edition for students, generated parts of README and docs/."""
