package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
)

const spacePromise = 10 * time.Second // until something is written, after there is space

// theDiskIsFull is F10: the file system that the database is on is filled under
// load, and has space again, several times; first with SQLite, or with PostgreSQL
// where -postgres says so.
func theDiskIsFull(l *lab) error {
	disk, err := l.smallDisk("96m")
	if err != nil {
		return err
	}
	if l.options.postgres {
		primary, t := l.openPostgres()
		if err := ownedByPostgres(disk); err != nil {
			return err
		}
		primary.Exec(t, fmt.Sprintf("CREATE TABLESPACE small LOCATION '%s'", disk))
		primary.Exec(t, "CREATE DATABASE full_soon TABLESPACE small")
		l.database = primary.URL("full_soon")
	} else {
		l.database = filepath.Join(disk, "sekisho.db")
	}
	return l.fillAndClear(filepath.Join(disk, "ballast"))
}

func (l *lab) fillAndClear(ballast string) error {
	times, full, clear := 12, 20*time.Second, 40*time.Second
	if l.options.short {
		times, full, clear = 2, 5*time.Second, 5*time.Second
	}
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	var backs []time.Duration
	unready := 0
	for range times {
		if err := l.pause(clear); err != nil {
			return err
		}
		count := f.Journal.Len()
		if err := fill(ballast); err != nil {
			return err
		}
		filled := l.since()
		if err := l.pause(full); err != nil {
			return err
		}
		for _, r := range f.Journal.Since(count) {
			if r.Outcome == load.Unavailable {
				unready++
			}
		}
		l.published(f.Journal.Since(count))
		if err := os.Remove(ballast); err != nil {
			return err
		}
		space := l.since()
		err := l.until("written again", 2*spacePromise, func() (bool, error) {
			_, ok := firstWrite(f.Journal.Since(count), space)
			return ok, nil
		})
		if err != nil {
			l.report.violation("after the disk had space: %v", err)
			continue
		}
		at, _ := firstWrite(f.Journal.Since(count), space)
		f.blindFrom(filled, at)
		backs = append(backs, at-space)
	}
	if err := f.finish(); err != nil {
		return err
	}
	if most := quantile(backs, 1); most > spacePromise {
		l.report.violation("something was written only %s after there was space", ms(most))
	}
	if unready == 0 {
		l.report.violation("the disk was full and nothing was refused")
	}
	l.report.figure("%d times full; requests answered 503 meanwhile: %d; from space to the first write: %s", times, unready, spread(backs))
	if onSQLite(l) {
		return l.checkIntegrity()
	}
	return nil
}

// smallDisk mounts a file system in memory, of a size such as "64m".
func (l *lab) smallDisk(size string) (string, error) {
	dir := filepath.Join(l.dir, "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.Chmod(l.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL, another user, has to reach the disk
		return "", err
	}
	if out, err := exec.CommandContext(l.ctx, "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil { //nolint:gosec // our own directory
		return "", fmt.Errorf("this row mounts a small file system, which needs root: %s", out)
	}
	l.cleanups = append(l.cleanups, func() {
		_ = exec.Command("umount", "--lazy", dir).Run() //nolint:gosec // our own directory
	})
	return dir, nil
}

// fill writes a file until the disk is full.
func fill(path string) error {
	file, err := os.Create(path) //nolint:gosec // our own directory
	if err != nil {
		return err
	}
	defer file.Close()
	for _, size := range []int{1 << 20, 64 << 10, 4 << 10, 512, 1} {
		for block := make([]byte, size); ; {
			if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

func ownedByPostgres(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, -1)
}
