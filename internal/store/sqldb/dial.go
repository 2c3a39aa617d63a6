package sqldb

import (
	"context"
	"net"
	"time"
)

var dialer = net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}

// silence is how long an address may leave a connection unanswered before the next one is tried, too: the
// shortest "Connection Attempt Delay" of RFC 8305, because the broker waits less than a second in all.
const silence = 100 * time.Millisecond

// dialed is the end of an attempt.
type dialed struct {
	conn net.Conn
	err  error
}

// dialAny returns a connection to the first address that answers. It waits for none of them alone: a machine
// that is off, or a packet filter, answers nothing, and would take all the time that the caller has.
func dialAny(ctx context.Context, network string, addresses []string, port string) (conn net.Conn, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan dialed, len(addresses))
	tick := time.NewTicker(silence)
	defer tick.Stop()
	for begun, ended := 0, 0; ended < len(addresses); {
		if begun < len(addresses) {
			go dialOne(ctx, network, net.JoinHostPort(addresses[begun], port), ends)
			begun++
		}
		select {
		case <-tick.C:
		case e := <-ends:
			ended++
			if e.err == nil {
				go closeLate(ends, begun-ended)
				return e.conn, nil
			}
			err = e.err
		}
	}
	return nil, err
}

func dialOne(ctx context.Context, network, address string, ends chan<- dialed) {
	conn, err := dialer.DialContext(ctx, network, address)
	ends <- dialed{conn, err}
}

// closeLate closes what so many attempts may still connect.
func closeLate(ends <-chan dialed, running int) {
	for range running {
		if late := <-ends; late.conn != nil {
			_ = late.conn.Close()
		}
	}
}
