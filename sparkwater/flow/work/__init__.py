"""The work of a session: variables, jobs with their progress, and the folders. Free of NiceGUI."""
