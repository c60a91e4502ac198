/* Whole-number arithmetic of a network exported by wordlength. C99 without dependencies, floating point or heap.
 *
 * docs/integer-semantics.md of wordlength defines every operation. Shifts of negative numbers go through unsigned
 * numbers or complements: C leaves them open otherwise.
 */
#ifndef WORDLENGTH_INTEGERS_H
#define WORDLENGTH_INTEGERS_H

#include <stdint.h>

/* value * 2^places; the caller knows that it fits. */
static inline int32_t left32(int32_t value, int places) { return (int32_t)((uint32_t)value << places); }
static inline int64_t left64(int64_t value, int places) { return (int64_t)((uint64_t)value << places); }

/* value / 2^places, rounded downwards. */
static inline int64_t down(int64_t value, int places)
{
    return value < 0 ? ~(~value >> places) : value >> places;
}

/* value / 2^places, 1 <= places <= 62, to nearest, halves upwards. */
static inline int64_t half_up(int64_t value, int places)
{
    return down(value, places) + (down(value, places - 1) & 1);
}

/* The same, halves to the even neighbour. */
static inline int64_t half_even(int64_t value, int places)
{
    const int64_t quotient = down(value, places);
    const int64_t rest = value - left64(quotient, places);
    const int64_t half = (int64_t)1 << (places - 1);
    return quotient + (rest > half || (rest == half && (quotient & 1) != 0));
}

static inline int64_t clip(int64_t value, int64_t lowest, int64_t highest)
{
    return value < lowest ? lowest : value > highest ? highest : value;
}

/* The lowest bits of a number, read as two's complement. */
static inline int64_t wrap_signed(int64_t value, int bits)
{
    const int64_t sign = (int64_t)1 << (bits - 1);
    return ((value & (2 * sign - 1)) ^ sign) - sign;
}

/* numbers / divisor, to nearest, halves to the even neighbour. */
static inline int64_t divide(int64_t number, int64_t divisor)
{
    int64_t quotient = number / divisor;
    int64_t rest = number % divisor;
    if (rest < 0) {
        rest += divisor;
        quotient -= 1;
    }
    return quotient + (2 * rest > divisor || (2 * rest == divisor && (quotient & 1) != 0));
}

/* Packed codes: without gaps, the first in the lowest bits of the first byte. */
typedef struct {
    const uint8_t *next;
    uint64_t held;
    int bits;
} packed_codes;

static inline packed_codes codes_from(const uint8_t *first)
{
    const packed_codes start = {first, 0, 0};
    return start;
}

static inline uint32_t next_code(packed_codes *codes, int width)
{
    uint32_t code;
    while (codes->bits < width) {
        codes->held |= (uint64_t)*codes->next++ << codes->bits;
        codes->bits += 8;
    }
    code = (uint32_t)(codes->held & (((uint64_t)1 << width) - 1));
    codes->held >>= width;
    codes->bits -= width;
    return code;
}

/* A code of fixed point: two's complement if signed. */
static inline int64_t next_fixed(packed_codes *codes, int width, int is_signed)
{
    const int64_t code = next_code(codes, width);
    return is_signed ? wrap_signed(code, width) : code;
}

/* A field of side information, anywhere in packed bytes: at most 8 bits wide. */
static inline int32_t field_at(const uint8_t *packed, int32_t bit, int width)
{
    int32_t field = 0;
    int place;
    for (place = 0; place < width; place++, bit++)
        field |= ((packed[bit / 8] >> (bit % 8)) & 1) << place;
    return field;
}

/* A power of two as one byte: the shift in bits 0 to 5, bit 6 if negative, bit 7 if it is zero.
 * `lowest`: the exponent code that shifts by nothing; with `zero`, exponent code 0 means zero.
 */
static inline uint8_t next_power(packed_codes *codes, int width, int32_t lowest, int zero)
{
    const uint32_t code = next_code(codes, width);
    const uint32_t exponent = code & (((uint32_t)1 << (width - 1)) - 1);
    const uint32_t negative = code >> (width - 1);
    if (zero && exponent == 0)
        return 128;
    return (uint8_t)((negative << 6) | (exponent - (uint32_t)lowest));
}

/* value * power, by a shift. */
static inline int32_t times32(int32_t value, uint8_t power)
{
    const int32_t negative = -((power >> 6) & 1);
    return ((left32(value, power & 63) ^ negative) - negative) & ((power >> 7) - 1);
}

static inline int64_t times64(int64_t value, uint8_t power)
{
    const int64_t negative = -((power >> 6) & 1);
    return ((left64(value, power & 63) ^ negative) - negative) & ((power >> 7) - 1);
}

/* A curved function: see its table in network.c. `entries`: values at equally spaced magnitudes. */
typedef struct {
    const int32_t *entries;
    int32_t last;      /* largest magnitude of the argument */
    int weight_bits;   /* its lower bits weigh the next entry against this one */
    int64_t mirror;    /* f(x) + f(-x) */
} curve;

static inline int64_t interpolate(const curve *function, int64_t argument)
{
    const int64_t size = argument < 0 ? -argument : argument;
    const int32_t magnitude = size > function->last ? function->last : (int32_t)size;
    const int32_t entry = magnitude >> function->weight_bits;
    const int64_t one = (int64_t)1 << function->weight_bits;
    const int64_t weight = magnitude & (one - 1);
    const int64_t value = function->entries[entry] * (one - weight) + function->entries[entry + 1] * weight;
    return argument < 0 ? function->mirror - value : value;
}

#endif
