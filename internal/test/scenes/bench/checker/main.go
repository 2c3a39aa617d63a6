// Command checker measures, on the machine under test, how long the broker takes to check a code of a second
// factor. It asks as the PAM module does, and reads the codes from its input. It prints a line "check
// MICROSECONDS" for each.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "checker:", err)
		os.Exit(1)
	}
}

func run() error {
	codes := bufio.NewScanner(os.Stdin)
	for codes.Scan() {
		took, err := check(module.Login{Op: module.FactorCheck, User: os.Args[2], UID: os.Args[3], Service: "sshd", Host: "192.0.2.1"}, codes.Bytes())
		if err != nil {
			return err
		}
		fmt.Println("check", took.Microseconds())
	}
	return codes.Err()
}

func check(q module.Login, code []byte) (time.Duration, error) {
	request, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	file, err := socket.SealedMemfd(code)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: os.Args[1], Net: "unixpacket"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, _, err := conn.WriteMsgUnix(request, unix.UnixRights(int(file.Fd())), nil); err != nil {
		return 0, err
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if err == nil && answer[0] != byte(module.Passes) {
		err = errors.New(string(answer[:n]))
	}
	return time.Since(began), err
}
