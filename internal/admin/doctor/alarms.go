package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// checkAlarms repeats the alarms of the last day. An alarm about a store that the application does
// not read is a fault of our wiring. Other alarms mean that another program sets old values.
func checkAlarms(ctx context.Context, e *exam) verdict {
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	return e.each("none in the last day", func(a config.Application) verdict {
		alarms, err := e.state.Alarms(ctx, a.Name, time.Now())
		if err != nil {
			return fail("%v", err)
		}
		found := []verdict{}
		for _, alarm := range alarms {
			text := fmt.Sprintf("%s at %s: %s", alarm.Account, alarm.At.Local().Format(time.DateTime), printable.Quote(alarm.Reason))
			if alarm.WrongStore() {
				found = append(found, fail("%s", text).person("name the store that the application reads", "editor "+e.Config))
				continue
			}
			found = append(found, warn("%s", text).person("take the old value out of what sets it", "shadowsync audit --user "+alarm.Account))
		}
		if a.Unnamed {
			found = append(found, warn("%s sets no store.driver for %s, which therefore must read the embedded store", e.Config, a.Unit).
				person("name it", "editor "+e.Config))
		}
		return join("", found...)
	})
}
