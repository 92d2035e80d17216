package streams

func childMain() bool { return false }
