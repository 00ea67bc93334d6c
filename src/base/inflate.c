/* inflate.c - reads compressed data; see inflate.h. */
#include "base/inflate.h"

#include <stdint.h>
#include <string.h>

#define MAX_BITS 15 /* of a code */
#define LENGTHS 286 /* symbols for literals and lengths */
#define DISTANCES 30
#define END_OF_BLOCK 256

struct input {
  const unsigned char *at, *end;
  uint32_t bits; /* read and not used yet: the lowest `count` ones */
  unsigned count;
  struct buffer *out;
  size_t start, most; /* where the output begins, and how long it may be */
  enum inflate_result result;
};

/* A canonical Huffman code (RFC 1951, 3.2.2): how many codes have each length, and their symbols in order. */
struct code {
  uint16_t count[MAX_BITS + 1], symbol[288];
};

/* --- bits and bytes ------------------------------------------------------------- */

static int fail(struct input *in, enum inflate_result result) {
  if (in->result == INFLATE_DONE) in->result = result;
  return -1;
}

/* Takes up to 16 bits, the lowest first; -1 at the end. */
static int take(struct input *in, unsigned count) {
  int value;
  while (in->count < count) {
    if (in->at == in->end) return fail(in, INFLATE_BROKEN);
    in->bits |= (uint32_t)*in->at++ << in->count;
    in->count += 8;
  }
  value = (int)(in->bits & ((1u << count) - 1));
  in->bits >>= count;
  in->count -= count;
  return value;
}

/* Takes a whole byte; -1 at the end. */
static int take_byte(struct input *in) {
  return in->at < in->end ? *in->at++ : fail(in, INFLATE_BROKEN);
}

static int put(struct input *in, char byte) {
  struct buffer *out = in->out;
  if (out->len - in->start >= in->most) return fail(in, INFLATE_TOO_LARGE);
  if (out->len < out->cap) {
    out->data[out->len++] = byte;
    return 0;
  }
  return buffer_add(out, &byte, 1) == 0 ? 0 : fail(in, INFLATE_NO_MEMORY);
}

/* --- codes ------------------------------------------------------------------------ */

/* Makes a code of the lengths of its symbols' codes. Returns how many codes of the greatest length are left over; below
 * 0: there are too many. */
static int make_code(struct code *code, const uint8_t *lengths, unsigned symbols) {
  uint16_t offsets[MAX_BITS + 1] = {0};
  unsigned i;
  int left = 1;
  memset(code->count, 0, sizeof code->count);
  for (i = 0; i < symbols; i++) code->count[lengths[i]]++;
  for (i = 1; i <= MAX_BITS; i++) {
    left = left * 2 - code->count[i];
    if (left < 0) return left;
    if (i > 1) offsets[i] = (uint16_t)(offsets[i - 1] + code->count[i - 1]);
  }
  for (i = 0; i < symbols; i++)
    if (lengths[i] != 0) code->symbol[offsets[lengths[i]]++] = (uint16_t)i;
  return left;
}

/* A code must be complete, but one of a single symbol need not be. */
static int is_usable(const struct code *code, int left, unsigned symbols) {
  return left == 0 || (left > 0 && symbols == (unsigned)code->count[0] + code->count[1]);
}

/* Takes a symbol; -1: there is none. */
static int take_symbol(struct input *in, const struct code *code) {
  int value = 0, first = 0, index = 0, length;
  for (length = 1; length <= MAX_BITS; length++) {
    int bit = take(in, 1), count = code->count[length];
    if (bit < 0) return -1;
    value |= bit;
    if (value - count < first) return code->symbol[index + (value - first)];
    index += count;
    first = (first + count) * 2;
    value *= 2;
  }
  return fail(in, INFLATE_BROKEN);
}

/* --- blocks ------------------------------------------------------------------------ */

static int copy_stored(struct input *in) {
  int low, high, length, check;
  in->bits = in->count = 0; /* the rest of the byte */
  low = take_byte(in), high = take_byte(in);
  length = low | high * 256;
  low = take_byte(in), high = take_byte(in);
  check = low | high * 256;
  if (in->result != INFLATE_DONE || length != (check ^ 0xFFFF)) return fail(in, INFLATE_BROKEN);
  while (length-- > 0) {
    int byte = take_byte(in);
    if (byte < 0 || put(in, (char)byte) != 0) return -1;
  }
  return 0;
}

/* Repeats what was put `distance` bytes ago. */
static int repeat(struct input *in, size_t distance, int length) {
  if (distance > in->out->len - in->start) return fail(in, INFLATE_BROKEN);
  while (length-- > 0)
    if (put(in, in->out->data[in->out->len - distance]) != 0) return -1;
  return 0;
}

/* Reads literals and repetitions up to the end of the block (RFC 1951, 3.2.5). */
static int read_codes(struct input *in, const struct code *lengths, const struct code *distances) {
  static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                           31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                          2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static const uint16_t distance_base[DISTANCES] = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                                    33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                                    1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  for (;;) {
    int symbol = take_symbol(in, lengths), length, distance, more;
    if (symbol < 0) return -1;
    if (symbol == END_OF_BLOCK) return 0;
    if (symbol < END_OF_BLOCK) {
      if (put(in, (char)symbol) != 0) return -1;
      continue;
    }
    symbol -= END_OF_BLOCK + 1;
    if (symbol >= 29) return fail(in, INFLATE_BROKEN);
    more = take(in, length_bits[symbol]);
    if (more < 0) return -1;
    length = length_base[symbol] + more;
    symbol = take_symbol(in, distances);
    if (symbol < 0 || symbol >= DISTANCES) return fail(in, INFLATE_BROKEN);
    more = take(in, symbol < 4 ? 0 : (unsigned)symbol / 2 - 1);
    if (more < 0) return -1;
    distance = distance_base[symbol] + more;
    if (repeat(in, (size_t)distance, length) != 0) return -1;
  }
}

static int read_fixed(struct input *in) {
  uint8_t lengths[288];
  struct code literal, distance;
  memset(lengths, 8, 144);
  memset(lengths + 144, 9, 112);
  memset(lengths + 256, 7, 24);
  memset(lengths + 280, 8, 8);
  (void)make_code(&literal, lengths, 288);
  memset(lengths, 5, DISTANCES);
  (void)make_code(&distance, lengths, DISTANCES);
  return read_codes(in, &literal, &distance);
}

/* Reads the lengths of the codes of a block, themselves coded (RFC 1951, 3.2.7). */
static int read_lengths(struct input *in, const struct code *code, uint8_t *lengths, unsigned wanted) {
  unsigned at = 0;
  while (at < wanted) {
    int symbol = take_symbol(in, code), times;
    uint8_t value = 0;
    if (symbol < 0) return -1;
    if (symbol < 16) {
      lengths[at++] = (uint8_t)symbol;
      continue;
    }
    if (symbol == 16 && at == 0) return fail(in, INFLATE_BROKEN);
    if (symbol == 16) value = lengths[at - 1];
    times = symbol == 16 ? take(in, 2) + 3 : symbol == 17 ? take(in, 3) + 3 : take(in, 7) + 11;
    if (in->result != INFLATE_DONE || (unsigned)times > wanted - at) return fail(in, INFLATE_BROKEN);
    while (times-- > 0) lengths[at++] = value;
  }
  return 0;
}

static int read_dynamic(struct input *in) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t lengths[LENGTHS + DISTANCES] = {0};
  struct code literal, distance;
  int literals = take(in, 5) + 257, distances = take(in, 5) + 1, coded = take(in, 4) + 4, i;
  if (in->result != INFLATE_DONE || literals > LENGTHS || distances > DISTANCES) return fail(in, INFLATE_BROKEN);
  for (i = 0; i < coded; i++) lengths[order[i]] = (uint8_t)(take(in, 3) & 7);
  if (in->result != INFLATE_DONE || make_code(&literal, lengths, 19) != 0) return fail(in, INFLATE_BROKEN);
  memset(lengths, 0, 19);
  if (read_lengths(in, &literal, lengths, (unsigned)(literals + distances)) != 0) return -1;
  if (lengths[END_OF_BLOCK] == 0 ||
      !is_usable(&literal, make_code(&literal, lengths, (unsigned)literals), (unsigned)literals) ||
      !is_usable(&distance, make_code(&distance, lengths + literals, (unsigned)distances), (unsigned)distances))
    return fail(in, INFLATE_BROKEN);
  return read_codes(in, &literal, &distance);
}

static int read_blocks(struct input *in) {
  int last, type, result;
  in->bits = in->count = 0;
  do {
    last = take(in, 1);
    type = take(in, 2);
    result = type == 0 ? copy_stored(in) : type == 1 ? read_fixed(in) : type == 2 ? read_dynamic(in) : -1;
    if (result != 0) return fail(in, INFLATE_BROKEN);
  } while (last == 0);
  return 0;
}

/* --- wrappings ---------------------------------------------------------------------- */

static uint32_t crc32(const char *data, size_t len) {
  static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                     0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                     0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
  uint32_t crc = 0xFFFFFFFF;
  size_t i;
  for (i = 0; i < len; i++) {
    crc ^= (unsigned char)data[i];
    crc = table[crc & 15] ^ crc >> 4;
    crc = table[crc & 15] ^ crc >> 4;
  }
  return crc ^ 0xFFFFFFFF;
}

static uint32_t adler32(const char *data, size_t len) {
  uint32_t a = 1, b = 0;
  size_t i;
  for (i = 0; i < len; i++) {
    a = (a + (unsigned char)data[i]) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

/* Takes four bytes, the lowest first. */
static uint32_t take_word(struct input *in) {
  uint32_t word = 0;
  int i;
  for (i = 0; i < 32; i += 8) word |= (uint32_t)(take_byte(in) & 0xFF) << i;
  return word;
}

/* Skips what follows a gzip header's ten bytes: an extra field, a name, a comment, a checksum (RFC 1952, 2.3). */
static void skip_fields(struct input *in, int flags) {
  int i, low, high;
  if (flags & 4) {
    low = take_byte(in), high = take_byte(in);
    for (i = low | high * 256; i > 0 && take_byte(in) >= 0;) i--;
  }
  for (i = 8; i <= 16; i *= 2)
    if (flags & i)
      while (take_byte(in) > 0) continue;
  if (flags & 2) (void)take_byte(in), (void)take_byte(in);
}

static int read_gzip(struct input *in) {
  int flags = in->at[3];
  const char *data;
  size_t len;
  uint32_t crc, size;
  in->start = in->out->len;
  if (in->at[2] != 8 || (flags & 0xE0) != 0) return fail(in, INFLATE_BROKEN);
  in->at += 10;
  skip_fields(in, flags);
  if (in->result != INFLATE_DONE || read_blocks(in) != 0) return -1;
  crc = take_word(in);
  size = take_word(in);
  len = in->out->len - in->start;
  data = len > 0 ? in->out->data + in->start : "";
  if (in->result != INFLATE_DONE || size != (uint32_t)len || crc != crc32(data, len)) return fail(in, INFLATE_BROKEN);
  in->most -= len;
  return 0;
}

static int read_zlib(struct input *in) {
  uint32_t word, sum;
  size_t len;
  in->at += 2;
  if (read_blocks(in) != 0) return -1;
  word = take_word(in);
  sum = word >> 24 | (word >> 8 & 0xFF00) | (word << 8 & 0xFF0000) | word << 24;
  len = in->out->len - in->start;
  if (in->result != INFLATE_DONE || (len > 0 && sum != adler32(in->out->data + in->start, len)))
    return fail(in, INFLATE_BROKEN);
  return 0;
}

int inflate_is_gzip(const char *data, size_t len) {
  return len >= 2 && (unsigned char)data[0] == 0x1F && (unsigned char)data[1] == 0x8B;
}

/* RFC 1950, 2.2; without a preset dictionary. */
static int is_zlib(const char *data, size_t len) {
  unsigned first, second;
  if (len < 2) return 0;
  first = (unsigned char)data[0], second = (unsigned char)data[1];
  return (first & 15) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0 && (second & 32) == 0;
}

/* gzip may come in several members, one after the other; what is no member is padding. */
static void read_members(struct input *in) {
  do {
    if (in->end - in->at < 18) {
      fail(in, INFLATE_BROKEN);
    } else if (read_gzip(in) == 0) {
      continue;
    }
    return;
  } while (inflate_is_gzip((const char *)in->at, (size_t)(in->end - in->at)));
}

enum inflate_result inflate(const char *data, size_t len, size_t most, struct buffer *out) {
  struct input in = {0};
  in.at = (const unsigned char *)data;
  in.end = in.at + len;
  in.out = out;
  in.start = out->len;
  in.most = most;
  if (inflate_is_gzip(data, len)) {
    read_members(&in);
  } else if (is_zlib(data, len)) {
    (void)read_zlib(&in);
  } else {
    (void)read_blocks(&in);
  }
  return in.result;
}
