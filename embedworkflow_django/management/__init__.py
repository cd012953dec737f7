"""The commands: what is done by hand, by cron and by process managers."""
