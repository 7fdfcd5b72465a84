/* Mirror a batch of photographs and take their colours to others in one pass (softshare/data/photograph_colours.py).
 *
 * Pixels lie as height, width, three bytes. Each operation is rounded on its own, as torch rounds them.
 */
#include <stdint.h>
#include <stdlib.h>

/* Sums of each channel of images first..last: int64 [N, 3]. */
void softshare_colour_sums(const uint8_t *images, int64_t pixels, int64_t *sums, int64_t first, int64_t last) {
  for (int64_t n = first; n < last; n++) {
    const uint8_t *restrict image = images + n * pixels * 3;
    int64_t total[3] = {0, 0, 0};
    for (int64_t begin = 0; begin < pixels; begin += 1 << 16) { /* as many bytes as 32 bits can add up */
      const int64_t end = begin + (1 << 16) < pixels ? begin + (1 << 16) : pixels;
      uint32_t red = 0, green = 0, blue = 0;
      for (int64_t i = begin; i < end; i++) {
        red += image[3 * i];
        green += image[3 * i + 1];
        blue += image[3 * i + 2];
      }
      total[0] += red, total[1] += green, total[2] += blue;
    }
    for (int channel = 0; channel < 3; channel++) sums[3 * n + channel] = total[channel];
  }
}

/* Images first..last; mirrored: a byte each; matrices [N, 3, 3], shifts [N, 3]. Returns 0, or 1 without memory. */
int softshare_colours(const uint8_t *images, int64_t height, int64_t width, const uint8_t *mirrored,
                      const float *matrices, const float *shifts, float *target, int64_t first, int64_t last) {
  float *planes = malloc(sizeof(float) * 3 * width);
  if (!planes) return 1;
  float *restrict red = planes, *restrict green = planes + width, *restrict blue = planes + 2 * width;
  for (int64_t n = first; n < last; n++) {
    const float *m = matrices + 9 * n, *s = shifts + 3 * n;
    for (int64_t y = 0; y < height; y++) {
      const uint8_t *restrict row = images + (n * height + y) * width * 3;
      float *restrict out = target + (n * height + y) * width * 3;
      if (mirrored[n]) {
        for (int64_t x = 0; x < width; x++) {
          const uint8_t *pixel = row + 3 * (width - 1 - x);
          red[x] = pixel[0], green[x] = pixel[1], blue[x] = pixel[2];
        }
      } else {
        for (int64_t x = 0; x < width; x++) red[x] = row[3 * x], green[x] = row[3 * x + 1], blue[x] = row[3 * x + 2];
      }
      for (int64_t x = 0; x < width; x++) {
        const float r = red[x], g = green[x], b = blue[x];
        out[3 * x] = r * m[0] + g * m[1] + b * m[2] + s[0];
        out[3 * x + 1] = r * m[3] + g * m[4] + b * m[5] + s[1];
        out[3 * x + 2] = r * m[6] + g * m[7] + b * m[8] + s[2];
      }
    }
  }
  free(planes);
  return 0;
}
