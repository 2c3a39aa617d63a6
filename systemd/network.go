package systemd

import (
	"net/netip"
	"syscall"
)

// Network is all that a worker may reach.
type Network struct {
	Addresses []netip.Addr
	Unix      bool // the sockets in the file system that its user may use
}

// address is one of IPAddressAllow= or IPAddressDeny=: "(iayu)".
type address struct {
	Family int32
	Bytes  []byte
	Prefix uint32
}

func addressOf(a netip.Addr, bits int) address {
	family := int32(syscall.AF_INET)
	if a.Is6() {
		family = syscall.AF_INET6
	}
	return address{family, a.AsSlice(), uint32(bits)}
}

func (n Network) properties() []property {
	var allow []address
	for _, a := range n.Addresses {
		a = a.Unmap().WithZone("")
		allow = append(allow, addressOf(a, a.BitLen()))
	}
	deny := []address{addressOf(netip.IPv4Unspecified(), 0), addressOf(netip.IPv6Unspecified(), 0)}
	properties := []property{prop("IPAddressDeny", deny)}
	if len(allow) > 0 {
		properties = append(properties, prop("IPAddressAllow", allow))
	}
	return properties
}

func (n Network) families() (families []string) {
	if n.Unix {
		families = append(families, "AF_UNIX")
	}
	for _, a := range n.Addresses {
		family := "AF_INET"
		if a.Unmap().Is6() {
			family = "AF_INET6"
		}
		families = append(families, family)
	}
	return families
}
