"""The processes of sessions: started by a spawner, kept by a warden each, and known to the host by a socket."""
