/* media.c - what kind of file it is; see media.h. */
#include "base/media.h"

#include <string.h>

/* The first extension of a type is the one that names are made with. */
static const struct {
  const char *extension, *type;
} names[] = {
    {".png", "image/png"},     {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"}, {".webp", "image/webp"},
    {".gif", "image/gif"},     {".avif", "image/avif"},       {".heic", "image/heic"}, {".bmp", "image/bmp"},
    {".svg", "image/svg+xml"}, {".mp4", "video/mp4"},         {".m4v", "video/mp4"},   {".mov", "video/quicktime"},
    {".webm", "video/webm"},   {".mkv", "video/x-matroska"},  {".mp3", "audio/mpeg"},  {".wav", "audio/wav"},
    {".txt", "text/plain"},    {".json", "application/json"},
};

/* How files begin. ISO base media files (ISO 14496-12) tell their kind after "ftyp"; the last row is for all others of
 * them. */
static const struct {
  size_t at;
  const char *bytes;
  size_t len;
  const char *type;
} heads[] = {
    {0, "\x89PNG\r\n\x1A\n", 8, "image/png"},
    {0, "\xFF\xD8\xFF", 3, "image/jpeg"},
    {0, "GIF8", 4, "image/gif"},
    {8, "WEBP", 4, "image/webp"},
    {0, "\x1A\x45\xDF\xA3", 4, "video/webm"},
    {4, "ftypqt  ", 8, "video/quicktime"},
    {4, "ftypavif", 8, "image/avif"},
    {4, "ftyphei", 7, "image/heic"},
    {4, "ftypmif1", 8, "image/heic"},
    {4, "ftyp", 4, "video/mp4"},
};

#define COUNT(table) (sizeof table / sizeof table[0])

static char lower(char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Whether two texts are equal in any case, whatever the locale. */
static int is_same(const char *a, const char *b) {
  while (*a != '\0' && lower(*a) == lower(*b)) a++, b++;
  return *a == *b;
}

const char *media_of_name(const char *name) {
  const char *dot = strrchr(name, '.');
  size_t i;
  for (i = 0; dot != NULL && i < COUNT(names); i++)
    if (is_same(dot, names[i].extension)) return names[i].type;
  return NULL;
}

const char *media_of_bytes(const char *head, size_t len) {
  size_t i;
  for (i = 0; i < COUNT(heads); i++)
    if (len >= heads[i].at + heads[i].len && memcmp(head + heads[i].at, heads[i].bytes, heads[i].len) == 0)
      return heads[i].type;
  return NULL;
}

const char *media_extension(const char *type) {
  size_t i;
  for (i = 0; i < COUNT(names); i++)
    if (is_same(type, names[i].type)) return names[i].extension;
  return "";
}
