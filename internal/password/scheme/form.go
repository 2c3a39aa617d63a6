package scheme

import "github.com/shadowsync/shadowsync/internal/password/crypt/format"

// form is one way to spell values.
type form struct {
	limit limit
	parse parse
	fresh fresh // nil: such values are only read
}

// parse takes a value apart. ok is false if it is not a whole value of the form.
type parse = func(value string) (s setting, digest []byte, ok bool)

// fresh returns a setting of this cost with a new salt; 0 is the form's default.
type fresh = func(cost int) (setting, error)

// setting is what a value holds besides the digest: how to compute it, cost and salt.
type setting interface {
	digest(secret []byte, account string) ([]byte, error)
	encode(digest []byte) string // the whole value
	renew() setting              // the same with a new salt
	cost() format.Cost
}

// readOnly is a form whose values the application still takes but no longer makes.
func readOnly(f form) form {
	f.fresh = nil
	return f
}

// wrapped is a form inside another: open takes the inner value out of a value, and shut puts it
// back.
func wrapped(f form, open func(value string) (string, bool), shut func(value string) string) form {
	outer := form{limit: f.limit}
	outer.parse = func(value string) (setting, []byte, bool) {
		inside, ok := open(value)
		if !ok {
			return nil, nil, false
		}
		s, digest, ok := f.parse(inside)
		return wrapper{s, shut}, digest, ok
	}
	if f.fresh != nil {
		outer.fresh = func(cost int) (setting, error) {
			s, err := f.fresh(cost)
			return wrapper{s, shut}, err
		}
	}
	return outer
}

type wrapper struct {
	setting
	shut func(value string) string
}

func (w wrapper) encode(digest []byte) string { return w.shut(w.setting.encode(digest)) }
func (w wrapper) renew() setting              { return wrapper{w.setting.renew(), w.shut} }

// prehashed is a form that hashes what pre makes of the clear text. What pre makes must fit every
// limit of the inner form; limit is that of the clear text.
func prehashed(f form, limit limit, pre func(secret []byte) []byte) form {
	inner := f
	f.limit = limit
	f.parse = func(value string) (setting, []byte, bool) {
		s, digest, ok := inner.parse(value)
		return prehasher{s, pre}, digest, ok
	}
	if inner.fresh != nil {
		f.fresh = func(cost int) (setting, error) {
			s, err := inner.fresh(cost)
			return prehasher{s, pre}, err
		}
	}
	return f
}

type prehasher struct {
	setting
	pre func(secret []byte) []byte
}

func (p prehasher) digest(secret []byte, account string) ([]byte, error) {
	return p.setting.digest(p.pre(secret), account)
}

func (p prehasher) renew() setting { return prehasher{p.setting.renew(), p.pre} }
