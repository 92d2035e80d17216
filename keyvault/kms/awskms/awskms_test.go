package awskms

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"

	"github.com/oubli-store/oubli/keyvault/kms/kmstest"
)

const (
	account   = "arn:aws:kms:eu-west-3:111122223333:key/"
	accessKey = "AKIDOFTHETEST"
	secretKey = "the-secret-key-of-the-test"
)

// service is a fake of AWS KMS, with the keys "oubli" and "other".
type service struct{ mode atomic.Int32 }

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "refused"})
}

func (f *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch kmstest.Mode(f.mode.Load()) {
	case kmstest.HangsUp:
		panic(http.ErrAbortHandler)
	case kmstest.Failing:
		refuse(w, http.StatusInternalServerError, "KMSInternalException")
		return
	}
	signed := r.Header.Get("Authorization")
	if !strings.Contains(signed, "Credential="+accessKey+"/") || !strings.Contains(signed, "/eu-west-3/kms/aws4_request") {
		refuse(w, http.StatusBadRequest, "UnrecognizedClientException")
		return
	}
	var q struct {
		KeyID                     string `json:"KeyId"`
		Plaintext, CiphertextBlob []byte
		EncryptionContext         map[string]string
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		refuse(w, http.StatusBadRequest, "SerializationException")
		return
	}
	keys := map[string][]byte{account + "oubli": []byte("0123456789abcdef0123456789abcdef"), account + "other": []byte("fedcba9876543210fedcba9876543210")}
	if keys[q.KeyID] == nil {
		refuse(w, http.StatusBadRequest, "NotFoundException")
		return
	}
	key, err := subtle.NewAESGCM(keys[q.KeyID])
	if err != nil {
		panic(err)
	}
	associated := []byte(q.EncryptionContext["associatedData"])
	answer := map[string]any{"KeyId": q.KeyID}
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.Encrypt":
		sealed, err := key.Encrypt(q.Plaintext, associated)
		if err != nil {
			panic(err)
		}
		answer["CiphertextBlob"] = append([]byte(q.KeyID+"\n"), sealed...)
	case "TrentService.Decrypt":
		wrappedBy, sealed, _ := strings.Cut(string(q.CiphertextBlob), "\n")
		if wrappedBy != q.KeyID {
			refuse(w, http.StatusBadRequest, "IncorrectKeyException")
			return
		}
		plain, err := key.Decrypt([]byte(sealed), associated)
		if err != nil {
			refuse(w, http.StatusBadRequest, "InvalidCiphertextException")
			return
		}
		answer["Plaintext"] = plain
	default:
		refuse(w, http.StatusBadRequest, "UnknownOperationException")
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(answer)
}

func start(t *testing.T) kmstest.Service {
	f := &service{}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_DEFAULT_PROFILE": "",
		"AWS_ROLE_ARN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"AWS_ENDPOINT_URL_KMS": s.URL, "AWS_MAX_ATTEMPTS": "1", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
	return kmstest.Service{Client: Client{}, URI: Scheme + account + "oubli", Other: Scheme + account + "other", Missing: Scheme + account + "missing",
		Mode:        func(m kmstest.Mode) { f.mode.Store(int32(m)) },
		Credentials: map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey}}
}

func TestService(t *testing.T) { kmstest.Test(t, start) }

func TestCheck(t *testing.T) {
	for uri, good := range map[string]bool{
		Scheme + account + "1234abcd-12ab-34cd-56ef-1234567890ab":           true,
		"aws-kms://arn:aws-us-gov:kms:us-gov-east-1:111122223333:key/mrk-1": true,
		"aws-kms://arn:aws:kms:eu-west-3:111122223333:alias/SECRET":         false,
		"aws-kms://arn:aws:kms:eu-west-3:SECRET:key/k":                      false,
		"aws-kms://SECRET": false, "aws-kms://" + account: false, account + "k": false, Scheme + account + "k?SECRET": false,
	} {
		err := Check(uri)
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", uri, err)
		}
		if !good {
			if _, err := (Client{}).GetAEAD(uri); err == nil {
				t.Errorf("%s was accepted", uri)
			}
		}
	}
}
