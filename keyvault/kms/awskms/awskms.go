// Package awskms reaches a key-encryption key in AWS KMS.
//
//	aws-kms://arn:aws:kms:eu-west-3:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
//
// The key is symmetric (SYMMETRIC_DEFAULT) and named by its whole ARN, which says the region too (an alias would do for wrapping, and could be pointed
// elsewhere later). Credentials come from the environment only: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; or
// AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE; or AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI. The files below ~/.aws and the metadata service of EC2 are not asked.
// AWS_ENDPOINT_URL_KMS, AWS_CA_BUNDLE, AWS_MAX_ATTEMPTS and AWS_USE_FIPS_ENDPOINT mean what they mean everywhere. The identity needs kms:Encrypt
// (when a vault is made or its KEK rotated) and kms:Decrypt (at every start). Oubli's associated data is the encryption context "associatedData".
//
// # Promises
//
// A call ends within two minutes (15 seconds a try, three tries with pauses), or as AWS_MAX_ATTEMPTS says. An error that is about the service, and not the key or the
// ciphertext, matches register.ErrKMS. No error holds a credential.
package awskms

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/core/registry"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oubli-store/oubli/keyvault/register"
)

// Scheme begins the URI of a key in AWS KMS.
const Scheme = "aws-kms://"

const (
	tryWithin  = 15 * time.Second
	callWithin = 2 * time.Minute
)

// arn is the ARN of a key; its region is caught.
var arn = regexp.MustCompile(`^arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+$`)

// Client finds keys in AWS KMS. See the package comment.
type Client struct{}

var _ registry.KMSClient = Client{}

// Supported implements [registry.KMSClient].
func (Client) Supported(uri string) bool { return strings.HasPrefix(uri, Scheme) }

// Check says what is wrong with a URI, without repeating it.
func Check(uri string) error {
	if id, ok := strings.CutPrefix(uri, Scheme); !ok || !arn.MatchString(id) {
		return errors.New("the URI must be aws-kms:// and the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/ID")
	}
	return nil
}

// GetAEAD implements [registry.KMSClient]. It does not connect to KMS yet.
func (Client) GetAEAD(uri string) (tink.AEAD, error) {
	if err := Check(uri); err != nil {
		return nil, err
	}
	id := strings.TrimPrefix(uri, Scheme)
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(arn.FindStringSubmatch(id)[1]),
		config.WithSharedConfigFiles([]string{}), config.WithSharedCredentialsFiles([]string{}),
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(tryWithin)))
	if err != nil {
		return nil, fmt.Errorf("the AWS_… variables of the environment: %w", err)
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%w: the environment has no credentials for AWS (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or they cannot be had: %w", register.ErrKMS, err)
	}
	a, err := awskms.NewAEADWithContext(ctx, id, awskms.WithKMS(kms.NewFromConfig(c)))
	if err != nil {
		return nil, err
	}
	return aead{a}, nil
}

// aead bounds and explains the calls of a key.
type aead struct{ inner tink.AEADWithContext }

// Encrypt implements [tink.AEAD].
func (a aead) Encrypt(plaintext, associated []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	b, err := a.inner.EncryptWithContext(ctx, plaintext, associated)
	return b, explain(err)
}

// Decrypt implements [tink.AEAD].
func (a aead) Decrypt(ciphertext, associated []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	b, err := a.inner.DecryptWithContext(ctx, ciphertext, associated)
	return b, explain(err)
}

// explain keeps of an error of KMS its code, and of one of the network what it says.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*types.InvalidCiphertextException](err); ok {
		return errors.New("AWS KMS refuses: what the key shall open was wrapped by another")
	}
	if _, ok := errors.AsType[*types.IncorrectKeyException](err); ok {
		return errors.New("AWS KMS refuses: what the key shall open was wrapped by another")
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%w: AWS KMS refuses with %s%s", register.ErrKMS, answer.ErrorCode(), hint(answer.ErrorCode()))
	}
	return fmt.Errorf("%w: AWS KMS: %w", register.ErrKMS, err)
}

// hint says what to do about a code, where that is known.
func hint(code string) string {
	switch code {
	case "AccessDeniedException":
		return "; the credentials need kms:Encrypt and kms:Decrypt on the key"
	case "NotFoundException":
		return "; there is no such key in that account and region"
	case "DisabledException", "KMSInvalidStateException":
		return "; the key is disabled or about to be deleted"
	case "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "InvalidSignatureException":
		return "; the credentials are wrong or have ended"
	}
	return ""
}
