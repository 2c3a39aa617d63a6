// Prowler is an unprivileged attacker on a test machine: it misuses the broker's sockets.
//
//	prowler ask SOCKET PACKET...   send each packet on a connection of its own, print the answers
//	prowler with N SOCKET PACKET...  the same with N descriptors attached, instead of one
//	prowler time SOCKET PACKET...  send each in turn, 400 times, and print the median answer's microseconds
//	prowler flood SOCKET SECONDS   hold, garble and drop hundreds of connections
//	prowler break SOCKET SECONDS [PASSWORD]  break off dialogues of set password, eight at a time: at the
//	                               first question, or once it was answered
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

	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: prowler ask|time|flood|break SOCKET ...")
		os.Exit(2)
	}
	path := os.Args[2]
	switch os.Args[1] {
	case "ask":
		for _, packet := range os.Args[3:] {
			fmt.Println(ask(path, packet, 1))
		}
		return
	case "with":
		n, _ := strconv.Atoi(path)
		for _, packet := range os.Args[4:] {
			fmt.Println(ask(os.Args[3], packet, n))
		}
		return
	case "time":
		for _, median := range medians(path, os.Args[3:]) {
			fmt.Println(median.Microseconds())
		}
		return
	}
	seconds, _ := strconv.Atoi(os.Args[3])
	how := time.Duration(seconds) * time.Second
	if os.Args[1] == "break" {
		breakOff(path, how, os.Args[4:])
		return
	}
	flood(path, how)
}

// breakOff never waits for the answer to a password.
func breakOff(path string, how time.Duration, password []string) {
	const threads = 8
	deadline := time.Now().Add(how)
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				if dialogue(path, password) != nil {
					time.Sleep(5 * time.Millisecond) // refused, because too many are open
				}
			}
		})
	}
	wg.Wait()
}

func dialogue(path string, password []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := socket.Dial(ctx, path)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Send(ctx, operator.Request{Op: operator.OpSetPassword}); err != nil {
		return err
	}
	var turn operator.Turn
	if _, err := conn.Receive(ctx, &turn); err != nil || len(password) == 0 {
		return err
	}
	if turn.Error != nil {
		return turn.Error
	}
	token, err := socket.SealedMemfd([]byte(password[0]))
	if err != nil {
		return err
	}
	defer token.Close()
	return conn.Send(ctx, operator.Reply{Op: "secret"}, token)
}

// medians sends the packets in turn, so that a machine that becomes slower affects all of them.
func medians(path string, packets []string) []time.Duration {
	const rounds = 400
	times := make([][]time.Duration, len(packets))
	for range rounds {
		for i, packet := range packets {
			start := time.Now()
			ask(path, packet, 1)
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

// ask attaches tokens, as the PAM module does.
func ask(path, packet string, tokens int) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := socket.Dial(ctx, path)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	var attached []*os.File
	defer func() { socket.CloseAll(attached) }()
	for range tokens {
		token, err := socket.SealedMemfd([]byte("Prowler-velvet-1"))
		if err != nil {
			return err.Error()
		}
		attached = append(attached, token)
	}
	if err := conn.Send(ctx, json.RawMessage(packet), attached...); err != nil {
		return "cannot send: " + err.Error()
	}
	var answer json.RawMessage
	if _, err := conn.Receive(ctx, &answer); err != nil {
		return "no answer: " + err.Error()
	}
	return string(answer)
}

// flood uses system calls, because package socket sends only well-formed packets.
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

// visit sends a packet and disconnects without reading. Without a packet it keeps the connection
// for a second.
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
	_ = unix.Send(fd, packet, unix.MSG_NOSIGNAL) // a refused packet is as good for this test
}
