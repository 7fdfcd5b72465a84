/* Crop, mirror, pad, normalise and cut out a batch of images in one pass over it (softshare/data/augment.py).
 *
 * A row of the result is gathered as bytes in the result's own layout, then turned into numbers: (byte - centre) * scale,
 * each operation rounded on its own as torch rounds them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int64_t image, channel, row, column; /* bytes from one to the next */
} Strides;

/* Where a position of the padded image lies in the image; -1: outside. */
static int64_t source(int64_t position, int64_t size, int reflect) {
  if (position >= 0 && position < size) return position;
  if (!reflect) return -1;
  return position < 0 ? -position : 2 * (size - 1) - position;
}

static void limits(int64_t centre, int64_t side, int64_t size, int64_t *first, int64_t *last) {
  const int64_t begin = centre - side / 2, end = begin + side;
  *first = begin < 0 ? 0 : begin;
  *last = end > size ? size : end;
}

/* Images first..last of a batch. draws: tops, lefts, centre rows, centre columns. centre, scale: one a channel.
 * Returns 0, or 1 where there is no memory. */
int softshare_augment(const uint8_t *images, const Strides *strides, int64_t channels, int64_t height, int64_t width,
                      const int64_t *const *draws, const uint8_t *flips, int64_t pad, int reflect, int64_t cutout,
                      const float *centre, const float *scale, float *target, int channels_last, int64_t first,
                      int64_t last) {
  const int64_t inner = channels_last ? channels : 1, outer = channels_last ? 1 : channels, length = width * inner;
  int64_t *columns = malloc(sizeof(int64_t) * width);
  uint8_t *bytes = malloc(length);
  float *centres = malloc(sizeof(float) * length * outer), *scales = malloc(sizeof(float) * length * outer);
  const int without = !columns || !bytes || !centres || !scales;
  for (int64_t i = 0; !without && i < length * outer; i++) {
    const int64_t channel = channels_last ? i % channels : i / width;
    centres[i] = centre[channel];
    scales[i] = scale[channel];
  }
  for (int64_t n = first; !without && n < last; n++) {
    const uint8_t *image = images + n * strides->image;
    for (int64_t x = 0; x < width; x++) {
      const int64_t position = (flips[n] ? width - 1 - x : x) + draws[1][n] - pad;
      const int64_t column = source(position, width, reflect);
      columns[x] = column < 0 ? -1 : column * strides->column;
    }
    int64_t top = 0, bottom = 0, left = 0, right = 0;
    if (cutout) {
      limits(draws[2][n], cutout, height, &top, &bottom);
      limits(draws[3][n], cutout, width, &left, &right);
    }
    for (int64_t plane = 0; plane < outer; plane++) {
      const float *restrict c = centres + plane * length, *restrict s = scales + plane * length;
      for (int64_t y = 0; y < height; y++) {
        const int64_t from = source(y + draws[0][n] - pad, height, reflect);
        float *restrict row = target + ((n * outer + plane) * height + y) * length;
        if (from < 0) {
          memset(bytes, 0, length);
        } else {
          for (int64_t channel = 0; channel < inner; channel++) {
            const uint8_t *restrict pixels = image + (plane + channel) * strides->channel + from * strides->row;
            for (int64_t x = 0; x < width; x++) bytes[x * inner + channel] = columns[x] < 0 ? 0 : pixels[columns[x]];
          }
        }
        for (int64_t i = 0; i < length; i++) row[i] = ((float)bytes[i] - c[i]) * s[i];
        if (y >= top && y < bottom && left < right) memset(row + left * inner, 0, sizeof(float) * (right - left) * inner);
      }
    }
  }
  free(columns);
  free(bytes);
  free(centres);
  free(scales);
  return without;
}
