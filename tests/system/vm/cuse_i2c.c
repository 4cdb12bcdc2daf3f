/* A /dev/i2c-N of the emulated machine (CUSE). Every I2C_RDWR goes through a port to the simulated
 * chips outside (chip_server.py), and their answer comes back.
 *
 *   cuse_i2c NAME PORT          NAME: of the device under /dev; PORT: e.g. /dev/virtio-ports/rig.i2c
 *
 * On the port, integers are little-endian and messages follow one another without separators:
 *   request   u32 bytes that follow, u16 messages, per message u16 address, flags, length;
 *             then the bytes of all messages that write
 *   reply     u32 bytes that follow, i32 errno or 0; then the bytes that were read
 *
 * SMBus calls are not offered: the program under test makes none. One transfer at a time, as on a
 * wire: the session loop is single-threaded.
 */
#define FUSE_USE_VERSION 31
#include <cuse_lowlevel.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_MESSAGE = 8192, LARGEST_REQUEST = I2C_RDWR_IOCTL_MAX_MSGS * (LONGEST_MESSAGE + 6) + 6 };

static int port;

/* What was interrupted half-way cannot be mended: systemd starts the program anew. */
static void give_up(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(const unsigned char *from, size_t n) {
  while (n) {
    ssize_t sent = write(port, from, n);
    if (sent <= 0) give_up("cuse_i2c: the port takes nothing");
    from += sent;
    n -= (size_t)sent;
  }
}

static void receive_all(unsigned char *to, size_t n) {
  while (n) {
    ssize_t got = read(port, to, n);
    if (got <= 0) give_up("cuse_i2c: nobody answers on the port");
    to += got;
    n -= (size_t)got;
  }
}

static unsigned char *put(unsigned char *to, const void *from, size_t n) {
  memcpy(to, from, n);
  return to + n;
}

/* Do one transaction; returns its errno, or 0 with `n_back` bytes in `back`. */
static int transfer(const struct i2c_msg *messages, uint16_t n_messages, const unsigned char *data,
                    size_t n_data, unsigned char *back, size_t n_back) {
  static unsigned char request[LARGEST_REQUEST];
  uint32_t length = (uint32_t)(2 + 6 * n_messages + n_data);
  unsigned char *to = put(request, &length, sizeof length);
  to = put(to, &n_messages, sizeof n_messages);
  for (int i = 0; i < n_messages; i++) {
    to = put(to, &messages[i].addr, 2);
    to = put(to, &messages[i].flags, 2);
    to = put(to, &messages[i].len, 2);
  }
  to = put(to, data, n_data);
  send_all(request, (size_t)(to - request));

  struct { uint32_t length; int32_t code; } reply;
  receive_all((unsigned char *)&reply, sizeof reply);
  if (reply.length != sizeof reply.code + (reply.code ? 0 : n_back)) {
    errno = EPROTO;
    give_up("cuse_i2c: an answer of the wrong length");
  }
  if (!reply.code) receive_all(back, n_back);
  return reply.code;
}

/* FUSE copies the caller's memory in rounds: the head, then the messages, then their buffers. */
static void answer_rdwr(fuse_req_t req, void *arg, const unsigned char *in, size_t n_in,
                        size_t n_out) {
  struct iovec from[2 + I2C_RDWR_IOCTL_MAX_MSGS], to[I2C_RDWR_IOCTL_MAX_MSGS];
  struct i2c_rdwr_ioctl_data head;
  from[0] = (struct iovec){arg, sizeof head};
  if (n_in < sizeof head) {
    fuse_reply_ioctl_retry(req, from, 1, NULL, 0);
    return;
  }
  memcpy(&head, in, sizeof head);
  if (!head.nmsgs || head.nmsgs > I2C_RDWR_IOCTL_MAX_MSGS) {
    fuse_reply_err(req, EINVAL);
    return;
  }
  struct i2c_msg messages[I2C_RDWR_IOCTL_MAX_MSGS];
  size_t n_messages_bytes = head.nmsgs * sizeof messages[0];
  from[1] = (struct iovec){head.msgs, n_messages_bytes};
  if (n_in < sizeof head + n_messages_bytes) {
    fuse_reply_ioctl_retry(req, from, 2, NULL, 0);
    return;
  }
  memcpy(messages, in + sizeof head, n_messages_bytes);
  size_t n_head = sizeof head + n_messages_bytes, n_data = 0, n_back = 0;
  int n_from = 2, n_to = 0;
  for (unsigned i = 0; i < head.nmsgs; i++) {
    struct iovec buffer = {messages[i].buf, messages[i].len};
    if (messages[i].len > LONGEST_MESSAGE) {
      fuse_reply_err(req, EINVAL);
      return;
    }
    if (messages[i].flags & I2C_M_RD) {
      to[n_to++] = buffer;
      n_back += buffer.iov_len;
    } else {
      from[n_from++] = buffer;
      n_data += buffer.iov_len;
    }
  }
  if (n_in < n_head + n_data || n_out < n_back) {
    fuse_reply_ioctl_retry(req, from, (size_t)n_from, to, (size_t)n_to);
    return;
  }
  unsigned char *back = calloc(1, n_back + 1);
  int code = transfer(messages, (uint16_t)head.nmsgs, in + n_head, n_data, back, n_back);
  if (code)
    fuse_reply_err(req, code);
  else
    fuse_reply_ioctl(req, (int)head.nmsgs, back, n_back);
  free(back);
}

static void answer_functions(fuse_req_t req, void *arg, size_t n_out) {
  unsigned long functions = I2C_FUNC_I2C;
  struct iovec to = {arg, sizeof functions};
  if (n_out < sizeof functions)
    fuse_reply_ioctl_retry(req, NULL, 0, &to, 1);
  else
    fuse_reply_ioctl(req, 0, &functions, sizeof functions);
}

static void do_ioctl(fuse_req_t req, int command, void *arg, struct fuse_file_info *file,
                     unsigned flags, const void *in, size_t n_in, size_t n_out) {
  (void)file;
  (void)flags;
  switch ((unsigned)command) {
  case I2C_FUNCS: answer_functions(req, arg, n_out); break;
  case I2C_RDWR: answer_rdwr(req, arg, in, n_in, n_out); break;
  case I2C_SLAVE: case I2C_TIMEOUT: case I2C_RETRIES: fuse_reply_ioctl(req, 0, NULL, 0); break;
  default: fuse_reply_err(req, ENOTTY);
  }
}

static void do_open(fuse_req_t req, struct fuse_file_info *file) { fuse_reply_open(req, file); }

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: cuse_i2c NAME PORT\n");
    return 2;
  }
  port = open(argv[2], O_RDWR | O_CLOEXEC);
  if (port < 0) give_up(argv[2]);
  static char name[64];
  snprintf(name, sizeof name, "DEVNAME=%s", argv[1]);
  const char *info[] = {name};
  struct cuse_info device = {.dev_info_argc = 1, .dev_info_argv = info, .flags = CUSE_UNRESTRICTED_IOCTL};
  static const struct cuse_lowlevel_ops operations = {.open = do_open, .ioctl = do_ioctl};
  char *foreground[] = {argv[0], "-f", "-s", NULL};
  return cuse_lowlevel_main(3, foreground, &device, &operations, NULL);
}
