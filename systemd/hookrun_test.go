package systemd

import "testing"

// A failed start hook counts if the application started after it, and is made up for only by a
// second try that ended well between the two.
func TestJudgeRuns(t *testing.T) {
	t.Parallel()
	hook := serviceRun{result: "exit-code", status: 226, ended: 20}
	second := serviceRun{result: "success", began: 21, ended: 25}
	for name, c := range map[string]struct {
		hook, second, application serviceRun
		failed, madeUp            bool
	}{
		"never ran":                        {serviceRun{result: "success"}, serviceRun{result: "success"}, serviceRun{began: 30}, false, false},
		"not loaded":                       {serviceRun{}, serviceRun{}, serviceRun{began: 30}, false, false},
		"ran well":                         {serviceRun{result: "success", ended: 20}, serviceRun{result: "success"}, serviceRun{began: 30}, false, false},
		"failed, no second try":            {hook, serviceRun{result: "success"}, serviceRun{began: 30}, true, false},
		"failed, second try of before":     {hook, serviceRun{result: "success", ended: 10}, serviceRun{began: 30}, true, false},
		"failed, second try too":           {hook, serviceRun{result: "exit-code", ended: 25}, serviceRun{began: 30}, true, false},
		"failed, made up":                  {hook, second, serviceRun{began: 30}, true, true},
		"made up after the start":          {hook, serviceRun{result: "success", ended: 35}, serviceRun{began: 30}, true, false},
		"kept the application down":        {hook, second, serviceRun{began: 10}, false, false},
		"failed while the application ran": {serviceRun{result: "timeout", ended: 40}, second, serviceRun{began: 30}, false, false},
	} {
		f, failed := compareRuns(HookFailure{Unit: "x"}, c.hook, c.second, c.application)
		if failed != c.failed || f.MadeUp != c.madeUp {
			t.Errorf("%s: failed %t, made up %t", name, failed, f.MadeUp)
		}
		if failed && c.hook.status == 226 && f.String() != "x failed (exit-code, status 226)" {
			t.Errorf("%s: %s", name, f)
		}
	}
}
