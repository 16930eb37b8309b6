/* The least that calls can cost on this machine: one process, one timer; per call and 20 ms one Opus frame encoded,
 * protected, sent over loopback, received, unprotected, and one of the far side's decoded. No jitter buffer, no ICE,
 * nothing else.
 *
 *   floor CALLS SECONDS COMPLEXITY BIT_RATE SIGNAL PCM FAR
 *
 * SIGNAL: of Opus, 3001 for a voice, which libopus codes as SILK, 3002 for music, CELT;
 * PCM: what is said, int16, mono, 24 kHz; FAR: what is heard, Opus packets, before each its length in two bytes of this
 * machine. Both are played in a circle.
 *
 * prints the percentage of a core per call: all of it, and without Opus (the second half of the time).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <srtp2/srtp.h>

/* Declared here, so that any libopus will do, the one of a Python package without headers among them. */
typedef struct OpusEncoder OpusEncoder;
typedef struct OpusDecoder OpusDecoder;
OpusEncoder *opus_encoder_create(int32_t rate_hz, int channels, int application, int *error);
OpusDecoder *opus_decoder_create(int32_t rate_hz, int channels, int *error);
int opus_encoder_ctl(OpusEncoder *encoder, int request, ...);
int32_t opus_encode(OpusEncoder *encoder, const int16_t *pcm, int n_samples, unsigned char *out, int32_t room);
int opus_decode(OpusDecoder *decoder, const unsigned char *in, int32_t n, int16_t *pcm, int n_samples, int fec);
const char *opus_get_version_string(void);

enum { FRAME = 480, HEADER = 12, ROOM = 1500 };

struct call {
    OpusEncoder *encoder;
    OpusDecoder *decoder;
    srtp_t out, in;
    int sender, receiver;
    struct sockaddr_in to;
    uint16_t sequence;
    uint32_t timestamp;
    size_t at, far_at;
    unsigned char kept[ROOM];
    int n_kept;
};

static void must(int is_so, const char *what) {
    if (!is_so) {
        fprintf(stderr, "floor: %s failed\n", what);
        exit(1);
    }
}

/* What the far side says. */
static unsigned char far_packets[1 << 20];
static size_t n_far;

static void open_call(struct call *call, int complexity, int bit_rate, int signal, uint32_t ssrc) {
    static unsigned char key[30] = "thirty bytes of a key, no more";
    socklen_t length = sizeof call->to;
    int error;
    call->encoder = opus_encoder_create(24000, 1, 2048, &error);
    must(error == 0, "opus_encoder_create");
    call->decoder = opus_decoder_create(24000, 1, &error);
    must(error == 0, "opus_decoder_create");
    opus_encoder_ctl(call->encoder, 4002, bit_rate);
    opus_encoder_ctl(call->encoder, 4010, complexity);
    opus_encoder_ctl(call->encoder, 4012, 1);
    opus_encoder_ctl(call->encoder, 4024, signal);
    srtp_policy_t policy;
    memset(&policy, 0, sizeof policy);
    srtp_crypto_policy_set_rtp_default(&policy.rtp);
    srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    policy.key = key;
    policy.ssrc.type = ssrc_any_outbound;
    must(srtp_create(&call->out, &policy) == srtp_err_status_ok, "srtp_create");
    policy.ssrc.type = ssrc_any_inbound;
    must(srtp_create(&call->in, &policy) == srtp_err_status_ok, "srtp_create");
    call->sender = socket(AF_INET, SOCK_DGRAM, 0);
    call->receiver = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&call->to, 0, sizeof call->to);
    call->to.sin_family = AF_INET;
    call->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(call->receiver, (struct sockaddr *)&call->to, sizeof call->to) == 0, "bind");
    getsockname(call->receiver, (struct sockaddr *)&call->to, &length);
    unsigned char *packet = call->kept;
    packet[0] = 0x80, packet[1] = 111;
    memcpy(packet + 8, &ssrc, 4);
}

static void tick(struct call *call, const int16_t *pcm, size_t n_pcm, int with_opus) {
    static int16_t heard[5760];
    unsigned char packet[ROOM];
    int length;
    memcpy(packet, call->kept, HEADER);
    if (with_opus) {
        call->n_kept = opus_encode(call->encoder, pcm + call->at, FRAME, packet + HEADER, 1275);
        memcpy(call->kept + HEADER, packet + HEADER, call->n_kept);
    } else {
        memcpy(packet + HEADER, call->kept + HEADER, call->n_kept);
    }
    call->at = call->at + 2 * FRAME <= n_pcm ? call->at + FRAME : 0;
    *(uint16_t *)(packet + 2) = htons(++call->sequence);
    *(uint32_t *)(packet + 4) = htonl(call->timestamp += 960);
    length = HEADER + call->n_kept;
    must(srtp_protect(call->out, packet, &length) == srtp_err_status_ok, "srtp_protect");
    must(sendto(call->sender, packet, length, 0, (struct sockaddr *)&call->to, sizeof call->to) == length, "sendto");
    length = recv(call->receiver, packet, sizeof packet, MSG_DONTWAIT);
    must(length > 0 && srtp_unprotect(call->in, packet, &length) == srtp_err_status_ok, "srtp_unprotect");
    if (with_opus) {
        uint16_t n;
        memcpy(&n, far_packets + call->far_at, sizeof n);
        must(opus_decode(call->decoder, far_packets + call->far_at + 2, n, heard, 5760, 0) == FRAME, "opus_decode");
        call->far_at += 2 + n;
        if (call->far_at >= n_far)
            call->far_at = 0;
    }
}

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    must(argc == 8, "usage: floor CALLS SECONDS COMPLEXITY BIT_RATE SIGNAL PCM FAR;");
    int n_calls = atoi(argv[1]), n_ticks = atof(argv[2]) * 50;
    FILE *file = fopen(argv[6], "rb");
    must(file != NULL, "opening the speech");
    static int16_t pcm[24000 * 120];
    size_t n_pcm = fread(pcm, 2, sizeof pcm / 2, file);
    FILE *far_file = fopen(argv[7], "rb");
    must(far_file != NULL, "opening what the far side says");
    n_far = fread(far_packets, 1, sizeof far_packets, far_file);
    must(n_far > 2 && feof(far_file), "reading what the far side says");
    must(n_pcm >= FRAME && srtp_init() == srtp_err_status_ok, "srtp_init");
    struct call *calls = calloc(n_calls, sizeof *calls);
    for (int i = 0; i < n_calls; i++)
        open_call(&calls[i], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), 1000 + i);
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    double percent[2];
    for (int without = 0; without < 2; without++) {
        double before_s = cpu_s();
        for (int n = 0; n < n_ticks; n++) {
            due.tv_nsec += 20000000;
            if (due.tv_nsec >= 1000000000)
                due.tv_nsec -= 1000000000, due.tv_sec++;
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
            for (int i = 0; i < n_calls; i++)
                tick(&calls[i], pcm, n_pcm, !without);
        }
        percent[without] = 100 * (cpu_s() - before_s) / (n_ticks * 0.02) / n_calls;
    }
    printf("%.4f %.4f %s\n", percent[0], percent[1], opus_get_version_string());
    return 0;
}
