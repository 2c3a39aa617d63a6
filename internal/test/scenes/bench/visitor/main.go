// Command visitor measures, on the machine under test, how long a browser waits for the page. It prints a line
// "NAME MICROSECONDS" for each request, from its start to the first byte of the answer.
//
//	visitor certificate FOLDER      makes web.crt and web.key for 127.0.0.1
//	visitor first FOLDER N          requests that start the process
//	visitor pages FOLDER N          the profile, 100 times a second, as a person whose password comes on standard input;
//	                                also the CPU time of a page, in the daemon and in the process of the page
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	origin = "https://127.0.0.1:8443"
	unit   = "shadowsync-web.service"
	every  = 10 * time.Millisecond // 100 a second
	// connections is how many a browser opens to a host.
	connections = 6
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "visitor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) == 3 && os.Args[1] == "certificate" {
		return certificate(os.Args[2])
	}
	if len(os.Args) != 4 {
		return errors.New("see go doc")
	}
	n, err := strconv.Atoi(os.Args[3])
	if err != nil {
		return err
	}
	if os.Args[1] == "first" {
		return first(ctx, os.Args[2], n)
	}
	return pages(ctx, os.Args[2], n)
}

// certificate makes a pair that signs itself.
func certificate(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "web.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), 0o600),
		os.WriteFile(filepath.Join(folder, "web.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// client is a browser without anything in it.
func client(folder string) (*http.Client, error) {
	text, err := os.ReadFile(filepath.Join(folder, "web.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	jar, err := cookiejar.New(nil)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}, Jar: jar, Timeout: time.Minute}, err
}

// timed asks for a page, and returns the time to its first byte.
func timed(ctx context.Context, c *http.Client, path string) (took time.Duration, err error) {
	began := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { took = time.Since(began) }})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+path, nil)
	if err != nil {
		return 0, err
	}
	answer, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK || answer.Request.URL.Path != path {
		return 0, fmt.Errorf("%s: status %d at %s", path, answer.StatusCode, answer.Request.URL.Path)
	}
	return took, nil
}

// ended waits until the process is gone.
func ended(ctx context.Context) error {
	for range 600 {
		out, err := exec.CommandContext(ctx, "systemctl", "show", "-p", "ActiveState", "--value", unit).Output()
		if err != nil || strings.TrimSpace(string(out)) == "inactive" {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the process does not end")
}

// first stops the process, as its idle end would, and asks for a page.
func first(ctx context.Context, folder string, n int) error {
	for range n {
		c, err := client(folder)
		if err != nil {
			return err
		}
		if err := exec.CommandContext(ctx, "systemctl", "stop", unit).Run(); err != nil {
			return err
		}
		if err := ended(ctx); err != nil {
			return err
		}
		took, err := timed(ctx, c, "/sign-in")
		if err != nil {
			return err
		}
		c.CloseIdleConnections()
		fmt.Println("first", took.Microseconds())
	}
	return nil
}

// pages signs in, lets the process that has read the password end, and asks at a steady rate, whether the answers
// are slow or not.
func pages(ctx context.Context, folder string, n int) error {
	c, err := client(folder)
	if err != nil {
		return err
	}
	password, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if err := signIn(ctx, c, strings.TrimSpace(string(password))); err != nil {
		return err
	}
	c.CloseIdleConnections()
	if err := ended(ctx); err != nil {
		return err
	}
	if _, err := timed(ctx, c, "/profile"); err != nil { // starts the process
		return err
	}
	before, err := cpuTimes(ctx)
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	took, failed := make([]time.Duration, n), make([]error, n)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		wait.Go(func() { took[i], failed[i] = timed(ctx, c, "/profile") })
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for _, one := range took {
		fmt.Println("page", one.Microseconds())
	}
	after, err := cpuTimes(ctx)
	for i, name := range units {
		fmt.Println(name, (after[i]-before[i])/int64(n)/1000)
	}
	return err
}

// units are those whose CPU time a page takes.
var units = []string{"shadowsync.service", unit}

// cpuTimes are in nanoseconds.
func cpuTimes(ctx context.Context) (times []int64, err error) {
	for _, name := range units {
		out, err := exec.CommandContext(ctx, "systemctl", "show", "-p", "CPUUsageNSec", "--value", name).Output()
		if err != nil {
			return times, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			return times, err
		}
		times = append(times, ns)
	}
	return times, nil
}

func signIn(ctx context.Context, c *http.Client, password string) error {
	form := url.Values{"username": {"user222"}, "password": {password}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/sign-in", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if at := answer.Request.URL.Path; at != "/profile" {
		return fmt.Errorf("the sign-in ends at %s with status %d", at, answer.StatusCode)
	}
	return nil
}
