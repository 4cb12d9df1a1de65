"""Real processes, real faults: kill -9, pause, full load; histories checked afterwards."""
