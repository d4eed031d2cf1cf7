/* tls: OpenSSL over memory; see tls.h. */
#include "rpc/tls.h"

#include <stdlib.h>
#include <string.h>

/* OpenSSL has a type of this name, we an error kind. */
#define ERR_STATE openssl_err_state
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE

struct rpc_tls {
    SSL *ssl;
    BIO *in;  /* owned by ssl */
    BIO *out; /* owned by ssl */
    bool is_ready;
};

static int choose_h2(SSL *ssl, const unsigned char **out,
                     unsigned char *out_size, const unsigned char *in,
                     unsigned int in_size, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < in_size; i += 1u + in[i]) {
        if (in[i] == 2 && i + 2 < in_size && memcmp(in + i + 1, "h2", 2) == 0) {
            *out = in + i + 1;
            *out_size = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int tls_error(struct err *err, const char *what, const char *path)
{
    char text[200] = "unknown reason";

    if (ERR_peek_last_error() != 0)
        ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
    ERR_clear_error();
    return err_set(err, ERR_INPUT, "TLS %s %s: %s; give a PEM file", what, path,
                   text);
}

struct ssl_ctx_st *rpc_tls_context_new(const char *certificate, const char *key,
                                       const char *client_ca, struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL) {
        err_set(err, ERR_SYSTEM, "TLS: no memory");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    int rc = 0;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        rc = tls_error(err, "certificate", certificate);
    else if (key == NULL)
        rc = err_set(err, ERR_INPUT, "TLS: a certificate without a key file");
    else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        rc = tls_error(err, "key", key);
    else if (SSL_CTX_check_private_key(context) != 1)
        rc = tls_error(err, "key of another certificate:", key);
    else if (client_ca &&
             SSL_CTX_load_verify_locations(context, client_ca, NULL) != 1)
        rc = tls_error(err, "client CA", client_ca);
    if (rc < 0) {
        SSL_CTX_free(context);
        return NULL;
    }
    if (client_ca)
        SSL_CTX_set_verify(
            context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return context;
}

void rpc_tls_context_free(struct ssl_ctx_st *context)
{
    SSL_CTX_free(context);
}

struct rpc_tls *rpc_tls_new(struct ssl_ctx_st *context)
{
    struct rpc_tls *tls = calloc(1, sizeof(*tls));
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL *ssl = SSL_new(context);

    if (tls == NULL || in == NULL || out == NULL || ssl == NULL) {
        free(tls);
        BIO_free(in);
        BIO_free(out);
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_bio(ssl, in, out); /* takes both */
    SSL_set_accept_state(ssl);
    *tls = (struct rpc_tls){ .ssl = ssl, .in = in, .out = out };
    return tls;
}

void rpc_tls_free(struct rpc_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

bool rpc_tls_is_ready(const struct rpc_tls *tls)
{
    return tls->is_ready;
}

int rpc_tls_feed(struct rpc_tls *tls, const uint8_t *data, size_t size)
{
    return BIO_write(tls->in, data, (int)size) == (int)size ? 0 : -1;
}

static int shake_hands(struct rpc_tls *tls)
{
    const unsigned char *protocol = NULL;
    unsigned size = 0;

    const int rc = SSL_do_handshake(tls->ssl);
    if (rc != 1)
        return SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ ? 0 : -1;
    SSL_get0_alpn_selected(tls->ssl, &protocol, &size);
    if (size != 2 || memcmp(protocol, "h2", 2) != 0)
        return -1;
    tls->is_ready = true;
    return 1;
}

int rpc_tls_read(struct rpc_tls *tls, uint8_t *data, size_t size)
{
    ERR_clear_error();
    if (!tls->is_ready) {
        const int rc = shake_hands(tls);
        if (rc <= 0)
            return rc;
    }
    const int n = SSL_read(tls->ssl, data, (int)size);
    if (n > 0)
        return n;
    return SSL_get_error(tls->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

int rpc_tls_write(struct rpc_tls *tls, const uint8_t *data, size_t size)
{
    ERR_clear_error();
    return SSL_write(tls->ssl, data, (int)size) == (int)size ? 0 : -1;
}

int rpc_tls_drain(struct rpc_tls *tls, struct rpc_buf *out)
{
    uint8_t chunk[4096];
    int n = 0;

    while ((n = BIO_read(tls->out, chunk, sizeof(chunk))) > 0) {
        if (rpc_buf_add(out, chunk, (size_t)n) < 0)
            return -1;
    }
    return 0;
}
