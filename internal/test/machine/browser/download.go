package browser

import (
	"context"
	"path"
	"strings"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// downloads is where the browser puts files, on the machine.
const downloads = "/home/" + User + "/downloads"

// Download clicks an element that offers a file, and returns the file's name and text.
func (v *Visitor) Download(selector string) (name, text string) {
	v.tb.Helper()
	v.m.Must("install", "-d", "-o", User, downloads)
	ctx, cancel := context.WithTimeout(v.context, patience)
	defer cancel()
	_, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: "allow", BrowserContextID: chromedp.FromContext(v.context).BrowserContextID, DownloadPath: downloads,
	})
	if err != nil {
		v.Fatalf("%v", err)
	}
	v.do(chromedp.Click(chromedp.CSS(selector)))
	eventually.Within(v.tb, patience, "a file from "+selector, func() bool {
		name = strings.TrimSpace(v.m.MustShell("ls " + downloads + " | grep -v crdownload || true"))
		return name != ""
	})
	file := path.Join(downloads, name)
	text = v.m.ReadFile(file)
	v.m.Must("rm", file)
	return name, text
}
