/*
 * fixed.c
 *		Checks src/fixed.h, as a program without the server, against a plain
 *		implementation on strings of decimal digits.
 *
 *		fixed [seconds] [seed]
 *
 * The oracle is written for being obviously right: schoolbook arithmetic, one
 * decimal digit at a time, of 256 digits.  For each operation the answer must
 * be the same, or fixed.h must say that it does not fit, and then it must be
 * true that a number of 128 bits could not hold the result or what is needed
 * on the way.  Stored numbers are decoded, encoded and compared byte by byte;
 * any bytes at all must be decoded without harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../src/fixed.h"

/* The oracle: sign, digits from the lowest on, count of decimals. */

#define DIGITS 256

typedef struct Plain
{
	bool		negative;
	signed char digit[DIGITS];
	int			scale;
} Plain;

static unsigned long long cases;
static const char *operation;

static void
fail(const char *what, Fixed a, Fixed b)
{
	printf("not ok 1 - %s: %s\n", operation, what);
	printf("# a = %016llx%016llx scale %d, b = %016llx%016llx scale %d\n",
		   (unsigned long long) ((FixedUint) a.value >> 64), (unsigned long long) a.value, (int) a.scale,
		   (unsigned long long) ((FixedUint) b.value >> 64), (unsigned long long) b.value, (int) b.scale);
	exit(1);
}

static Plain
plain_from_fixed(Fixed a)
{
	Plain		p = {a.value < 0, {0}, a.scale};
	FixedUint	rest = a.value < 0 ? -(FixedUint) a.value : (FixedUint) a.value;

	for (int i = 0; rest != 0; i++, rest /= 10)
		p.digit[i] = (signed char) (rest % 10);
	return p;
}

static int
plain_length(const Plain *p)
{
	int			n = DIGITS;

	while (n > 0 && p->digit[n - 1] == 0)
		n--;
	return n;
}

static int
plain_compare_magnitude(const Plain *a, const Plain *b)
{
	for (int i = DIGITS - 1; i >= 0; i--)
		if (a->digit[i] != b->digit[i])
			return a->digit[i] < b->digit[i] ? -1 : 1;
	return 0;
}

/* times 10^n; the scale is the caller's */
static Plain
plain_shift(Plain p, int n)
{
	memmove(p.digit + n, p.digit, (size_t) (DIGITS - n));
	memset(p.digit, 0, (size_t) n);
	return p;
}

static void
plain_add_magnitude(Plain *a, const Plain *b)
{
	int			carry = 0;

	for (int i = 0; i < DIGITS; i++)
	{
		carry += a->digit[i] + b->digit[i];
		a->digit[i] = (signed char) (carry % 10);
		carry /= 10;
	}
}

/* a >= b */
static void
plain_subtract_magnitude(Plain *a, const Plain *b)
{
	int			borrow = 0;

	for (int i = 0; i < DIGITS; i++)
	{
		borrow = a->digit[i] - b->digit[i] - borrow;
		a->digit[i] = (signed char) (borrow < 0 ? borrow + 10 : borrow);
		borrow = borrow < 0;
	}
}

static Plain
plain_add(Plain a, Plain b)
{
	int			scale = a.scale > b.scale ? a.scale : b.scale;

	a = plain_shift(a, scale - a.scale);
	b = plain_shift(b, scale - b.scale);
	if (a.negative == b.negative)
		plain_add_magnitude(&a, &b);
	else if (plain_compare_magnitude(&a, &b) >= 0)
		plain_subtract_magnitude(&a, &b);
	else
	{
		plain_subtract_magnitude(&b, &a);
		a = b;
	}
	a.scale = scale;
	return a;
}

static Plain
plain_multiply(Plain a, Plain b)
{
	Plain		p = {a.negative != b.negative, {0}, a.scale + b.scale};
	int			na = plain_length(&a);
	int			nb = plain_length(&b);

	for (int i = 0; i < na; i++)
	{
		int			carry = 0;

		for (int j = 0; j < nb || carry != 0; j++)
		{
			carry += p.digit[i + j] + a.digit[i] * (j < nb ? b.digit[j] : 0);
			p.digit[i + j] = (signed char) (carry % 10);
			carry /= 10;
		}
	}
	return p;
}

/* a / b with scale decimals, digit by digit */
static Plain
plain_divide(Plain a, Plain b, int scale, FixedRounding rounding)
{
	Plain		q = {a.negative != b.negative, {0}, scale};
	Plain		rest = {false, {0}, 0};
	Plain		one = {false, {1}, 0};
	int			shift = scale + b.scale - a.scale;
	bool		away;

	if (shift >= 0)
		a = plain_shift(a, shift);
	else
		b = plain_shift(b, -shift);
	for (int i = plain_length(&a) - 1; i >= 0; i--)
	{
		memmove(rest.digit + 1, rest.digit, DIGITS - 1);
		rest.digit[0] = a.digit[i];
		while (plain_compare_magnitude(&rest, &b) >= 0)
		{
			plain_subtract_magnitude(&rest, &b);
			q.digit[i]++;
		}
	}
	if (plain_length(&rest) == 0)
		return q;
	if (rounding == FIXED_HALF_AWAY)
	{
		Plain		twice = rest;

		plain_add_magnitude(&twice, &rest);
		away = plain_compare_magnitude(&twice, &b) >= 0;
	}
	else
		away = (rounding == FIXED_UP) != q.negative;
	if (away)
		plain_add_magnitude(&q, &one);
	return q;
}

/* numeric.c's rule, from the digits to the base 10000 */
static void
plain_first(const Plain *p, int *weight, int *first)
{
	int			top = plain_length(p) - 1;

	*weight = *first = 0;
	if (top < 0)
		return;
	/* the place of the first decimal digit, and the group it is in */
	for (*weight = -400; 4 * (*weight + 1) <= top - p->scale;)
		(*weight)++;
	for (int place = 4 * *weight + 3; place >= 4 * *weight; place--)
	{
		int			i = place + p->scale;

		*first = *first * 10 + (i >= 0 && i < DIGITS ? p->digit[i] : 0);
	}
}

static int
plain_quotient_scale(Plain a, Plain b)
{
	int			weight_a;
	int			weight_b;
	int			first_a;
	int			first_b;
	int			weight;
	int			scale;

	plain_first(&a, &weight_a, &first_a);
	plain_first(&b, &weight_b, &first_b);
	weight = weight_a - weight_b;
	if (first_a <= first_b)
		weight--;
	scale = 16 - 4 * weight;
	scale = scale > a.scale ? scale : a.scale;
	scale = scale > b.scale ? scale : b.scale;
	return scale > 0 ? scale : 0;
}

/* What numeric.c's make_result writes, group by group. */
static int
plain_encode(const Plain *p, char *data)
{
	int			weight;
	int			first;
	int			length;
	uint16_t	header;
	int			used = 0;
	uint16_t	groups[120];

	plain_first(p, &weight, &first);
	if (plain_length(p) > 0)
		for (int w = weight; 4 * w + 3 >= -p->scale; w--)
		{
			int			group = 0;

			for (int place = 4 * w + 3; place >= 4 * w; place--)
			{
				int			i = place + p->scale;

				group = group * 10 + (i >= 0 && i < DIGITS ? p->digit[i] : 0);
			}
			groups[used++] = (uint16_t) group;
		}
	while (used > 0 && groups[used - 1] == 0)
		used--;
	if (p->scale <= 63 && weight >= -64 && weight <= 63)
	{
		header = (uint16_t) (0x8000 | (p->negative && used > 0 ? 0x2000 : 0) | p->scale << 7 |
							 (weight < 0 ? 0x40 : 0) | (weight & 0x3F));
		memcpy(data, &header, 2);
		length = 2;
	}
	else
	{
		int16_t		long_weight = (int16_t) weight;

		header = (uint16_t) ((p->negative && used > 0 ? 0x4000 : 0) | p->scale);
		memcpy(data, &header, 2);
		memcpy(data + 2, &long_weight, 2);
		length = 4;
	}
	memcpy(data + length, groups, 2 * (size_t) used);
	return length + 2 * used;
}

static bool
plain_fits(const Plain *p)
{
	Fixed		largest = {(FixedInt) FIXED_MAX, 0};
	Plain		limit = plain_from_fixed(largest);

	return plain_compare_magnitude(p, &limit) <= 0;
}

static void
expect(Plain expected, bool fits, Fixed got, Fixed a, Fixed b)
{
	Plain		p;

	if (!fits)
		return;
	p = plain_from_fixed(got);
	if (got.scale != expected.scale || plain_compare_magnitude(&p, &expected) != 0 ||
		(plain_length(&p) > 0 && p.negative != expected.negative))
		fail("another result", a, b);
}

/* Random numbers of all lengths and shapes */

static uint64_t state;

static uint64_t
next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(2685821657736338717);
}

static int
below(int n)
{
	return (int) (next() >> 33) % n;
}

static Fixed
any_fixed(int most_decimals)
{
	Fixed		a = {0, below(most_decimals + 1)};
	FixedUint	value = 0;
	int			digits = below(40);

	switch (below(8))
	{
		case 0:					/* a power of ten, or nearly */
			value = fixed_power(digits % 39) + (FixedUint) below(3) - 1;
			break;
		case 1:					/* a power of two, or nearly */
			value = ((FixedUint) 1 << below(127)) + (FixedUint) below(3) - 1;
			break;
		case 2:					/* near the limit */
			value = FIXED_MAX - (FixedUint) below(3);
			break;
		case 3:					/* short */
			value = (FixedUint) below(100);
			break;
		default:
			for (int i = 0; i < digits; i++)
				value = value * 10 + (FixedUint) (below(4) == 0 ? 9 * below(2) : below(10));
			for (int i = below(3) == 0 ? below(20) : 0; i > 0; i--)
				value = value / 10 * 10 * (value < FIXED_MAX / 10 ? 10 : 1);
	}
	value &= FIXED_MAX;
	a.value = below(2) ? -(FixedInt) value : (FixedInt) value;
	return a;
}

static void
check_numbers(int most_decimals)
{
	Fixed		a = any_fixed(most_decimals);
	Fixed		b = any_fixed(most_decimals);
	Fixed		r = {0, 0};
	Plain		pa = plain_from_fixed(a);
	Plain		pb = plain_from_fixed(b);
	Plain		expected;
	char	   *data = malloc((size_t) fixed_encoded_room(a.value, a.scale));	/* for ASan */
	char		plain_data[256];
	int			length;
	int			scale;
	bool		fits;
	FixedRounding rounding = (FixedRounding) below(3);

	operation = "add";
	expected = plain_add(pa, pb);
	fits = fixed_add(a, b, &r);
	expect(expected, fits, r, a, b);
	if (!fits && a.scale == b.scale && plain_fits(&expected))
		fail("should fit", a, b);

	operation = "subtract";
	pb.negative = !pb.negative;
	expected = plain_add(pa, pb);
	pb.negative = !pb.negative;
	fits = fixed_subtract(a, b, &r);
	expect(expected, fits, r, a, b);

	operation = "compare";
	length = plain_length(&expected) == 0 ? 0 : expected.negative ? -1 : 1;
	if (fixed_compare(a, b) != length)
		fail("another order", a, b);

	operation = "multiply";
	expected = plain_multiply(pa, pb);
	fits = fixed_multiply(a, b, &r);
	expect(expected, fits, r, a, b);
	if (!fits && plain_fits(&expected))
		fail("should fit", a, b);

	operation = "round";
	scale = below(most_decimals + 1);
	{
		Fixed		one = {1, 0};

		expected = plain_divide(pa, plain_from_fixed(one), scale, rounding);
	}
	fits = fixed_round(a, scale, rounding, &r);
	expect(expected, fits, r, a, b);

	if (b.value != 0)
	{
		operation = "quotient scale";
		scale = fixed_quotient_scale(a, b);
		if (scale != plain_quotient_scale(pa, pb))
			fail("another scale", a, b);
		operation = "divide";
		expected = plain_divide(pa, pb, scale, FIXED_HALF_AWAY);
		fits = fixed_divide(a, b, scale, FIXED_HALF_AWAY, &r);
		expect(expected, fits, r, a, b);
		operation = "divide rounded";
		scale = below(most_decimals + 1);
		expected = plain_divide(pa, pb, scale, rounding);
		fits = fixed_divide(a, b, scale, rounding, &r);
		expect(expected, fits, r, a, b);
		if (!fits && plain_fits(&expected) && scale + b.scale - a.scale >= 0 &&
			scale + b.scale - a.scale <= 38)
			fail("should fit", a, b);
	}

	operation = "encode";
	length = fixed_encode(a.value, a.scale, data);
	if (length > FIXED_MAX_BYTES || length != plain_encode(&pa, plain_data) ||
		memcmp(data, plain_data, (size_t) length) != 0)
		fail("other bytes", a, b);
	operation = "decode";
	if (fixed_decode(data, (size_t) length, &r))
		expect(pa, true, r, a, b);
	else if (length <= 2 + 2 * 10)
		fail("should fit", a, b);
	free(data);
	cases++;
}

/* Any bytes: what can be decoded is encoded to a number of the same value. */
static void
check_bytes(void)
{
	size_t		length = (size_t) below(28);
	char	   *data = malloc(length + 1);	/* of its own size, for ASan */
	char		again[FIXED_MAX_BYTES];
	Fixed		a = {0, 0};
	Fixed		b = {0, 0};

	for (size_t i = 0; i < length; i++)
		data[i] = (char) next();
	if (length >= 2 && below(2))
	{
		/* a short header and digits that are some */
		uint16_t	header = (uint16_t) (0x8000 | (next() & 0x3FFF));

		memcpy(data, &header, 2);
		for (size_t i = 2; i + 1 < length; i += 2)
		{
			uint16_t	digit = (uint16_t) below(10000);

			memcpy(data + i, &digit, 2);
		}
	}
	operation = "bytes";
	if (fixed_decode(data, length, &a))
	{
		int			n = fixed_encode(a.value, a.scale, again);

		if (n <= 2 + 2 * 10 &&
			(!fixed_decode(again, (size_t) n, &b) || b.value != a.value || b.scale != a.scale))
			fail("another number", a, b);
	}
	free(data);
	cases++;
}

int
main(int argc, char **argv)
{
	int			seconds = argc > 1 ? atoi(argv[1]) : 10;
	time_t		end = time(NULL) + seconds;

	state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : (uint64_t) time(NULL) | 1;
	printf("# seed %llu\n", (unsigned long long) state);
	while (time(NULL) < end)
		for (int i = 0; i < 1000; i++)
		{
			check_numbers(i % 2 == 0 ? 38 : 12);
			check_bytes();
		}
	printf("ok 1 - fixed.h: %llu cases are right\n", cases);
	return 0;
}
