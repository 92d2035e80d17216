package server

import (
	"fmt"
	"syscall"
)

// NoCoreDumps keeps the keys in this process's memory from being written to a core file. It holds for the whole process.
func NoCoreDumps() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("turning core dumps off: %w", err)
	}
	return nil
}
