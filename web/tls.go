package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// TLS says how connections are encrypted. The zero value: not at all.
type TLS struct {
	// Cert and Key are PEM files. They are read again when they change.
	Cert, Key string
	// SelfSigned makes a certificate for the hosts of the server, valid for a
	// year. It is kept in the folder Dir and made anew when it ends or the hosts
	// change; without Dir it lives as long as the process.
	SelfSigned bool
	Dir        string
}

// config returns nil if TLS is not asked for. The fingerprint is that of a
// self-signed certificate, for people to compare.
func (t *TLS) config(hosts []string, now func() time.Time) (c *tls.Config, fingerprint string, err error) {
	c = &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case t.Cert != "" || t.Key != "":
		if t.Cert == "" || t.Key == "" || t.SelfSigned {
			return nil, "", errors.New("web: TLS takes a certificate and its key, or a self-signed one")
		}
		f := &certFiles{cert: t.Cert, key: t.Key, now: now}
		if err := f.load(); err != nil {
			return nil, "", err
		}
		c.GetCertificate = f.get
		return c, "", nil
	case t.SelfSigned:
		cert, err := selfSigned(t.Dir, hosts, now())
		if err != nil {
			return nil, "", err
		}
		sum := sha256.Sum256(cert.Certificate[0])
		c.Certificates = []tls.Certificate{cert}
		return c, hex.EncodeToString(sum[:]), nil
	}
	return nil, "", nil
}

// certFiles is a certificate that is renewed on disk.
type certFiles struct {
	cert, key string
	now       func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time // of the files
	looked  time.Time
}

// certificateNames returns the names for which a certificate on disk is valid: by
// those the server is known.
func certificateNames(c *tls.Config) []string {
	if c == nil || c.GetCertificate == nil {
		return nil
	}
	cert, err := c.GetCertificate(nil)
	if err != nil || cert.Leaf == nil {
		return nil
	}
	var names []string
	for _, n := range cert.Leaf.DNSNames {
		if n = hostName(n); n != "*" {
			names = append(names, n)
		}
	}
	return names
}

// lookEvery is how often the files are looked at.
const lookEvery = 10 * time.Second

func (f *certFiles) stamps() (s [2]time.Time) {
	for i, name := range []string{f.cert, f.key} {
		if st, err := os.Stat(name); err == nil {
			s[i] = st.ModTime()
		}
	}
	return s
}

func (f *certFiles) load() error {
	stamp := f.stamps()
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("web: TLS: %w", err)
	}
	f.current, f.stamp = &cert, stamp
	return nil
}

// get returns the certificate, reading it again if it has changed; one that
// cannot be read does not replace the one that could.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		if f.stamps() != f.stamp {
			_ = f.load() // perhaps one of two files is there yet: again in ten seconds
		}
	}
	return f.current, nil
}

const (
	selfSignedName = "seehear-selfsigned.pem"
	selfSignedLife = 365 * 24 * time.Hour
)

// selfSigned returns the certificate in dir, or makes one.
func selfSigned(dir string, hosts []string, now time.Time) (tls.Certificate, error) {
	name := filepath.Join(dir, selfSignedName)
	if dir != "" {
		cert, err := tls.LoadX509KeyPair(name, name)
		if err == nil && fits(&cert, hosts, now) {
			return cert, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			// A damaged one is made anew; one that may not be read is an error.
			if _, rerr := os.ReadFile(name); rerr != nil {
				return tls.Certificate{}, fmt.Errorf("web: TLS: %w", rerr)
			}
		}
	}
	block, err := makeCertificate(hosts, now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("web: TLS: %w", err)
	}
	if dir != "" {
		if err := writePrivate(name, block); err != nil {
			return tls.Certificate{}, fmt.Errorf("web: TLS: %w", err)
		}
	}
	return tls.X509KeyPair(block, block)
}

// writePrivate writes a file that its owner alone can read, whole or not at all.
func writePrivate(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".seehear-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func fits(cert *tls.Certificate, hosts []string, now time.Time) bool {
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil || now.Before(leaf.NotBefore) || now.After(leaf.NotAfter.Add(-24*time.Hour)) {
		return false
	}
	return !slices.ContainsFunc(certHosts(hosts), func(h string) bool { return leaf.VerifyHostname(h) != nil })
}

func certHosts(hosts []string) []string {
	list := []string{"localhost", "127.0.0.1", "::1"}
	for _, h := range hosts {
		if h != "*" && !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	return list
}

// makeCertificate returns certificate and key as PEM.
func makeCertificate(hosts []string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "seehear"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range certHosts(hosts) {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &t, &t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}
