/* base64.c - decodes base64; see base64.h. */
#include "base/base64.h"

static int value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

ptrdiff_t base64_decode(const char *text, size_t len, char *out) {
  unsigned long bits = 0;
  size_t i;
  ptrdiff_t written = 0;
  int held = 0; /* characters in `bits` */
  for (i = 0; i < len && text[i] != '='; i++) {
    int v = value(text[i]);
    if (text[i] == '\r' || text[i] == '\n') continue;
    if (v < 0) return -1;
    bits = (bits << 6 | (unsigned long)v) & 0xFFFFFF;
    if (++held < 4) continue;
    out[written++] = (char)(bits >> 16 & 0xFF);
    out[written++] = (char)(bits >> 8 & 0xFF);
    out[written++] = (char)(bits & 0xFF);
    held = 0;
  }
  for (; i < len; i++)
    if (text[i] != '=' && text[i] != '\r' && text[i] != '\n') return -1;
  if (held == 1) return -1;
  if (held >= 2) out[written++] = (char)(bits >> (held == 2 ? 4 : 10) & 0xFF);
  if (held == 3) out[written++] = (char)(bits >> 2 & 0xFF);
  return written;
}
