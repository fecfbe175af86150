/* Doubles to decimal digits and back, exactly: with integers of any length, as numbers in messages are few and short. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* 2^1074 takes 1075 bits as 5^1074 takes 2494; with the digits of a double in front that is the longest that there is. */
#define WORDS_MAX 84
/* Digits that are read; what follows them can only break a tie. A double has at most 767 significant digits. */
#define READ_DIGITS_MAX 800
#define EXACT_DIGITS_MAX 1100

typedef struct {
    uint32_t words[2 * WORDS_MAX];
    int count;
} big;

static void big_set(big *number, uint64_t value) {
    number->words[0] = (uint32_t)value;
    number->words[1] = (uint32_t)(value >> 32);
    number->count = number->words[1] ? 2 : number->words[0] ? 1 : 0;
}

static void big_multiply_add(big *number, uint32_t factor, uint32_t more) {
    uint64_t carry = more;
    for (int i = 0; i < number->count; i++) {
        carry += (uint64_t)number->words[i] * factor;
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) number->words[number->count++] = (uint32_t)carry;
}

/* Gives back the remainder. */
static uint32_t big_divide(big *number, uint32_t divisor) {
    uint64_t rest = 0;
    for (int i = number->count - 1; i >= 0; i--) {
        rest = rest << 32 | number->words[i];
        number->words[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (number->count > 0 && number->words[number->count - 1] == 0) number->count--;
    return (uint32_t)rest;
}

static void big_shift_left(big *number, int bits) {
    for (; bits >= 31; bits -= 31) big_multiply_add(number, 1u << 31, 0);
    if (bits > 0) big_multiply_add(number, 1u << bits, 0);
}

static int big_bits(const big *number) {
    return number->count == 0 ? 0 : 32 * number->count - __builtin_clz(number->words[number->count - 1]);
}

static bool big_bit(const big *number, int bit) {
    return number->words[bit / 32] >> (bit % 32) & 1;
}

#define FIVE_13 1220703125u

static void big_multiply_by_five(big *number, int power) {
    for (; power >= 13; power -= 13) big_multiply_add(number, FIVE_13, 0);
    for (; power > 0; power--) big_multiply_add(number, 5, 0);
}

/* number * 2^exponent, where `sticky` says that there is a little more; rounded to the nearest, ties to even. */
static double rounded(const big *number, int exponent, bool sticky) {
    int bits = big_bits(number);
    if (bits == 0) return 0;
    int keep = 53;
    /* Below the normal numbers there are fewer bits. */
    if (bits + exponent < -1021) keep = bits + exponent + 1074;
    if (keep < 0) return 0;
    uint64_t mantissa = 0;
    int drop = bits - keep;
    for (int bit = bits - 1; bit >= 0 && bit >= drop; bit--) mantissa = mantissa << 1 | big_bit(number, bit);
    if (drop < 0) {
        mantissa <<= -drop;
    } else if (drop > 0 && big_bit(number, drop - 1)) {
        bool more = sticky;
        for (int bit = 0; bit < drop - 1 && !more; bit++) more = big_bit(number, bit);
        if (more || (mantissa & 1)) mantissa++;
    }
    int power = exponent + drop;
    if (mantissa >> 53) mantissa >>= 1, power++;
    if (mantissa == 0) return 0;
    uint64_t biased = mantissa >> 52 ? (uint64_t)(power + 1075) : 0;
    if (mantissa >> 52 && power + 1075 >= 2047) return __builtin_inf();
    uint64_t raw = biased << 52 | (mantissa & (((uint64_t)1 << 52) - 1));
    double value;
    memcpy(&value, &raw, sizeof value);
    return value;
}

/* digits * 10^exponent */
static double from_decimal(const char *digits, int count, int exponent) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (count <= 15 && exponent >= -22 && exponent <= 22) {
        /* Both are exact, so one operation rounds rightly. */
        uint64_t integer = 0;
        for (int i = 0; i < count; i++) integer = integer * 10 + (uint64_t)(digits[i] - '0');
        return exponent < 0 ? (double)integer / powers[-exponent] : (double)integer * powers[exponent];
    }
    if (count + exponent > 310) return __builtin_inf();
    if (count + exponent < -330) return 0;
    big number;
    big_set(&number, 0);
    for (int i = 0; i < count; i++) {
        big_multiply_add(&number, 10, (uint32_t)(digits[i] - '0'));
    }
    if (exponent >= 0) {
        big_multiply_by_five(&number, exponent);
        return rounded(&number, exponent, false);
    }
    /* Divided by 5^n in small steps, with enough bits in front that the quotient has more than a double. */
    int five_bits = (int)(-exponent * 2.33) + 2;
    int shift = 66 + five_bits - big_bits(&number);
    if (shift < 0) shift = 0;
    big_shift_left(&number, shift);
    bool sticky = false;
    int power = -exponent;
    for (; power >= 13; power -= 13) sticky |= big_divide(&number, FIVE_13) != 0;
    for (; power > 0; power--) sticky |= big_divide(&number, 5) != 0;
    return rounded(&number, exponent - shift, sticky);
}

double ms__read_double(const char *text, size_t length) {
    const char *at = text, *end = text + length;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    char digits[READ_DIGITS_MAX + 1];
    int count = 0, exponent = 0;
    bool point = false, dropped = false;
    for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !point)); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (point) exponent--;
        if (count == 0 && *at == '0') continue;
        if (count < READ_DIGITS_MAX) {
            digits[count++] = *at;
        } else {
            dropped |= *at != '0';
            exponent++;
        }
    }
    if (dropped) digits[count++] = '1', exponent--;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool below = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) at++;
        int said = 0;
        for (; at < end && *at >= '0' && *at <= '9'; at++)
            if (said < 100000) said = said * 10 + (*at - '0');
        exponent += below ? -said : said;
    }
    while (count > 0 && digits[count - 1] == '0') count--, exponent++;
    double value = count == 0 ? 0 : from_decimal(digits, count, exponent);
    return negative ? -value : value;
}

double strtod(const char *text, char **end) {
    const char *at = text;
    while (*at == ' ' || (*at >= '\t' && *at <= '\r')) at++;
    const char *begin = at;
    if (*at == '-' || *at == '+') at++;
    const char *first = at;
    while (*at >= '0' && *at <= '9') at++;
    size_t digits = (size_t)(at - first);
    if (*at == '.') {
        const char *point = at++;
        while (*at >= '0' && *at <= '9') at++;
        digits += (size_t)(at - point - 1);
    }
    if (digits == 0) {
        if (end) *end = (char *)text;
        return 0;
    }
    if (*at == 'e' || *at == 'E') {
        const char *exponent = at + 1;
        if (*exponent == '-' || *exponent == '+') exponent++;
        if (*exponent >= '0' && *exponent <= '9') {
            while (*exponent >= '0' && *exponent <= '9') exponent++;
            at = exponent;
        }
    }
    if (end) *end = (char *)at;
    return ms__read_double(begin, (size_t)(at - begin));
}

char *ms__exact_digits(double value, int *exponent) {
    uint64_t raw;
    memcpy(&raw, &value, sizeof raw);
    int biased = (int)(raw >> 52 & 2047);
    uint64_t mantissa = raw & (((uint64_t)1 << 52) - 1);
    if (biased) mantissa |= (uint64_t)1 << 52;
    int power = (biased ? biased : 1) - 1075;
    big number;
    big_set(&number, mantissa);
    int point = 0;
    if (power >= 0) {
        big_shift_left(&number, power);
    } else {
        /* m / 2^n is m * 5^n / 10^n. */
        big_multiply_by_five(&number, -power);
        point = power;
    }
    char *digits = ms__alloc(EXACT_DIGITS_MAX + 1);
    int at = EXACT_DIGITS_MAX;
    digits[at] = 0;
    while (number.count > 0) {
        uint32_t nine = big_divide(&number, 1000000000);
        for (int i = 0; i < 9; i++, nine /= 10) digits[--at] = (char)('0' + nine % 10);
    }
    while (digits[at] == '0') at++;
    size_t count = strlen(digits + at);
    memmove(digits, digits + at, count + 1);
    *exponent = (int)count + point;
    while (count > 0 && digits[count - 1] == '0') digits[--count] = 0;
    return digits;
}

/* Rounds digits to `count` of them, ties to even; may carry into a new first digit. */
static int round_digits(const char *exact, int count, char *rounded_digits, int *exponent) {
    int have = (int)strlen(exact);
    if (count > have) count = have;
    memcpy(rounded_digits, exact, (size_t)count);
    rounded_digits[count] = 0;
    if (count == have) return count;
    bool up = exact[count] > '5';
    if (exact[count] == '5') {
        up = exact[count + 1] != 0 || (count > 0 && ((exact[count - 1] - '0') & 1));
    }
    if (!up) return count;
    int at = count - 1;
    while (at >= 0 && rounded_digits[at] == '9') rounded_digits[at--] = '0';
    if (at >= 0) {
        rounded_digits[at]++;
    } else {
        /* All of them were 9, and are 0 now. */
        rounded_digits[0] = '1';
        (*exponent)++;
    }
    return count;
}

int ms__shortest(double value, char digits[DIGITS_MAX + 1], int *exponent) {
    char *exact = ms__exact_digits(value, exponent);
    int begin = *exponent;
    for (int count = 1; count <= DIGITS_MAX; count++) {
        *exponent = begin;
        int have = round_digits(exact, count, digits, exponent);
        if (have < 1) have = 1;
        if (from_decimal(digits, have, *exponent - have) == value || count == DIGITS_MAX) break;
    }
    free(exact);
    int have = (int)strlen(digits);
    while (have > 1 && digits[have - 1] == '0') digits[--have] = 0;
    return have;
}
