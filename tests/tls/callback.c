// Handshakes between two contexts in one process: with a callback of the program's own, with one that it has taken
// back, and with none. What it is told of callbacks must be its own alone. Prototypes are ssl.h's, which need not
// be there.
#include <stdio.h>
#include <stdlib.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct bio_st BIO;
typedef struct ssl_method_st SSL_METHOD;
typedef void (*keylog)(const SSL *, const char *);
const SSL_METHOD *TLS_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *);
SSL_CTX *SSL_CTX_new_ex(void *, const char *, const SSL_METHOD *);
void SSL_CTX_free(SSL_CTX *);
void SSL_CTX_set_keylog_callback(SSL_CTX *, keylog);
keylog SSL_CTX_get_keylog_callback(const SSL_CTX *);
int SSL_CTX_use_certificate_file(SSL_CTX *, const char *, int);
int SSL_CTX_use_PrivateKey_file(SSL_CTX *, const char *, int);
int SSL_CTX_set_ex_data(SSL_CTX *, int, void *);
void *SSL_CTX_get_ex_data(const SSL_CTX *, int);
SSL *SSL_new(SSL_CTX *);
void SSL_free(SSL *);
int SSL_do_handshake(SSL *);
void SSL_set_connect_state(SSL *);
void SSL_set_accept_state(SSL *);
void SSL_set_bio(SSL *, BIO *, BIO *);
int BIO_new_bio_pair(BIO **, size_t, BIO **, size_t);

static int lines;

static void count(const SSL *ssl, const char *line) {
    lines += ssl != NULL && line[0] >= 'A' && line[0] <= 'Z';
}

static void check(int good, const char *what) {
    if (!good) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

static int handshake(SSL_CTX *client_context, SSL_CTX *server_context) {
    SSL *client = SSL_new(client_context), *server = SSL_new(server_context);
    BIO *left, *right;
    check(BIO_new_bio_pair(&left, 0, &right, 0) == 1, "BIO_new_bio_pair");
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    int done = 0;
    for (int round = 0; round < 100 && !done; round++) {
        int one = SSL_do_handshake(client);
        int two = SSL_do_handshake(server);
        done = one == 1 && two == 1;
    }
    check(done, "the handshake");
    SSL_free(client);
    SSL_free(server);
    int counted = lines;
    lines = 0;
    return counted;
}

int main(void) {
    SSL_CTX *client = SSL_CTX_new(TLS_method()), *server = SSL_CTX_new_ex(NULL, NULL, TLS_method());
    check(client && server, "contexts");
    check(SSL_CTX_use_certificate_file(server, "certificate", 1) == 1, "certificate");
    check(SSL_CTX_use_PrivateKey_file(server, "key", 1) == 1, "key");
    check(SSL_CTX_get_keylog_callback(client) == NULL, "a callback in a new context");
    // SSL_CTX_set_app_data.
    check(SSL_CTX_set_ex_data(client, 0, &lines) == 1, "data");
    SSL_CTX_set_keylog_callback(client, count);
    check(SSL_CTX_get_keylog_callback(client) == count, "the callback that was set");
    check(SSL_CTX_get_keylog_callback(server) == NULL, "a callback in the other context");
    printf("their own: %d lines\n", handshake(client, server));
    check(SSL_CTX_get_ex_data(client, 0) == &lines, "the data that was set");
    SSL_CTX_set_keylog_callback(client, NULL);
    check(SSL_CTX_get_keylog_callback(client) == NULL, "the callback that was taken back");
    printf("none: %d lines\n", handshake(client, server));
    SSL_CTX_free(client);
    client = SSL_CTX_new(TLS_method());
    check(SSL_CTX_get_keylog_callback(client) == NULL, "a callback in a second context");
    printf("another: %d lines\n", handshake(client, server));
    return 0;
}
