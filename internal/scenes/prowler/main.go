// Prowler is an unprivileged program on a test machine that tries its luck on the
// broker's sockets.
//
//	prowler ask SOCKET PACKET...   send each packet on a connection of its own, print the answers
//	prowler time SOCKET PACKET...  send each in turn, 400 times, and print the median answer's microseconds
//	prowler flood SOCKET SECONDS   hold, garble and drop hundreds of connections
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/socket"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: prowler ask|time|flood SOCKET ...")
		os.Exit(2)
	}
	path := os.Args[2]
	switch os.Args[1] {
	case "ask":
		for _, packet := range os.Args[3:] {
			fmt.Println(ask(path, packet))
		}
		return
	case "time":
		for _, median := range medians(path, os.Args[3:]) {
			fmt.Println(median.Microseconds())
		}
		return
	}
	seconds, _ := strconv.Atoi(os.Args[3])
	flood(path, time.Duration(seconds)*time.Second)
}

// medians asks in turn, so that a machine that slows down slows all.
func medians(path string, packets []string) []time.Duration {
	const rounds = 400
	times := make([][]time.Duration, len(packets))
	for range rounds {
		for i, packet := range packets {
			start := time.Now()
			ask(path, packet)
			times[i] = append(times[i], time.Since(start))
		}
	}
	var all []time.Duration
	for _, t := range times {
		slices.Sort(t)
		all = append(all, t[len(t)/2])
	}
	return all
}

// ask attaches a token, as the PAM module does.
func ask(path, packet string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := socket.Dial(ctx, path)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	token, err := socket.SealedMemfd([]byte("Prowler-velvet-1"))
	if err != nil {
		return err.Error()
	}
	defer token.Close()
	if err := conn.Send(ctx, json.RawMessage(packet), token); err != nil {
		return "cannot send: " + err.Error()
	}
	var answer json.RawMessage
	if _, err := conn.Receive(ctx, &answer); err != nil {
		return "no answer: " + err.Error()
	}
	return string(answer)
}

// flood speaks to the kernel directly: the library is too polite for this.
func flood(path string, how time.Duration) {
	const visitors = 300
	garbage := [][]byte{nil, {}, []byte("{"), bytes.Repeat([]byte("["), 200<<10), bytes.Repeat([]byte{0xff}, 100<<10), []byte(`{"op":"pam-changed","user":"admin"}`)}
	deadline := time.Now().Add(how)
	var wg sync.WaitGroup
	for visitor := range visitors {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				visit(path, garbage[visitor%len(garbage)])
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

// visit leaves without reading; one that has nothing to say stays a while.
func visit(path string, packet []byte) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if unix.Connect(fd, &unix.SockaddrUnix{Name: path}) != nil {
		return
	}
	if packet == nil {
		time.Sleep(time.Second)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
	_ = unix.Send(fd, packet, unix.MSG_NOSIGNAL) // refused or not, it was tried
}
