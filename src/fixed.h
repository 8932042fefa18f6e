/*
 * fixed.h
 *		Decimal numbers of up to 38 digits, exactly, in plain C.
 *
 * A number is a 128-bit integer and the count of its decimals; products and
 * dividends are 256 bits wide.  Decimals and rounding follow those of
 * PostgreSQL's NUMERIC, digit for digit.  Every operation that could exceed
 * its integer says false instead; the caller then takes core's functions.
 *
 * Nothing here needs the server, so that test/fuzz can check it as a program
 * of its own.  All of it is inline: a formula of ten operations takes less
 * time than one operator called through the executor.
 */
#ifndef RISK_FIXED_H
#define RISK_FIXED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifndef __SIZEOF_INT128__
#error "a compiler with 128-bit integers is needed: GCC or Clang, 64 bits"
#endif

/* No more than MAXALIGN, because palloc aligns to that. */
typedef __int128 FixedInt __attribute__((aligned(8)));
typedef unsigned __int128 FixedUint __attribute__((aligned(8)));

/* value / 10^scale; |value| <= FIXED_MAX, 0 <= scale <= FIXED_MAX_SCALE */
typedef struct Fixed
{
	FixedInt	value;
	int32_t		scale;
} Fixed;

#define FIXED_MAX		(~(FixedUint) 0 >> 1)
#define FIXED_MAX_SCALE 1000	/* NUMERIC rounds by other rules above */
#define FIXED_MAX_BYTES 28		/* to encode any number into */

typedef enum FixedRounding
{
	FIXED_DOWN,					/* toward minus infinity */
	FIXED_UP,					/* toward plus infinity */
	FIXED_HALF_AWAY				/* to nearest, ties away from zero */
} FixedRounding;

/*
 * Always: a number passed through memory is written in halves and read as a
 * whole, which costs more than the arithmetic.
 */
#define fixed_inline static inline __attribute__((always_inline))

#define fixed_likely(x)		__builtin_expect((x) != 0, 1)
#define fixed_unlikely(x)	__builtin_expect((x) != 0, 0)

/* 10^0 to 10^19 */
static const uint64_t fixed_powers[20] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
	UINT64_C(10000000000), UINT64_C(100000000000), UINT64_C(1000000000000),
	UINT64_C(10000000000000), UINT64_C(100000000000000),
	UINT64_C(1000000000000000), UINT64_C(10000000000000000),
	UINT64_C(100000000000000000), UINT64_C(1000000000000000000),
	UINT64_C(10000000000000000000)
};

/* 1 / 5^0 to 1 / 5^15 modulo 2^64 */
static const uint64_t fixed_inverses[16] = {
	UINT64_C(0x1), UINT64_C(0xCCCCCCCCCCCCCCCD), UINT64_C(0x8F5C28F5C28F5C29),
	UINT64_C(0x1CAC083126E978D5), UINT64_C(0xD288CE703AFB7E91),
	UINT64_C(0x5D4E8FB00BCBE61D), UINT64_C(0x790FB65668C26139),
	UINT64_C(0xE5032477AE8D46A5), UINT64_C(0xC767074B22E90E21),
	UINT64_C(0x8E47CE423A2E9C6D), UINT64_C(0x4FA7F60D3ED61F49),
	UINT64_C(0x0FEE64690C913975), UINT64_C(0x3662E0E1CF503EB1),
	UINT64_C(0xA47A2CF9F6433FBD), UINT64_C(0x54186F653140A659),
	UINT64_C(0x7738164770402145)
};

/* Does it fit into 64 bits?  Then fixed_small_product() takes it. */
fixed_inline bool
fixed_is_small(FixedInt value)
{
	return value == (int64_t) value;
}

/* One instruction, which the compiler does not find by itself. */
fixed_inline FixedInt
fixed_small_product(FixedInt a, FixedInt b)
{
	return (FixedInt) (int64_t) a * (int64_t) b;
}

fixed_inline FixedUint
fixed_magnitude(FixedInt value)
{
	return value < 0 ? -(FixedUint) value : (FixedUint) value;
}

fixed_inline int
fixed_sign(Fixed a)
{
	return (a.value > 0) - (a.value < 0);
}

/* 10^n, 0 <= n <= 38 */
fixed_inline FixedUint
fixed_power(int n)
{
	return n < 20 ? fixed_powers[n] :
		(FixedUint) fixed_powers[19] * fixed_powers[n - 19];
}

/* a * b, 256 bits */
fixed_inline void
fixed_wide_product(FixedUint a, FixedUint b, FixedUint *high, FixedUint *low)
{
	uint64_t	a0 = (uint64_t) a;
	uint64_t	a1 = (uint64_t) (a >> 64);
	uint64_t	b0 = (uint64_t) b;
	uint64_t	b1 = (uint64_t) (b >> 64);
	FixedUint	p00 = (FixedUint) a0 * b0;
	FixedUint	p01 = (FixedUint) a0 * b1;
	FixedUint	p10 = (FixedUint) a1 * b0;
	FixedUint	middle = (p00 >> 64) + (uint64_t) p01 + (uint64_t) p10;

	*low = (middle << 64) | (uint64_t) p00;
	*high = (FixedUint) a1 * b1 + (p01 >> 64) + (p10 >> 64) + (middle >> 64);
}

/* a * b, when it is at most FIXED_MAX */
fixed_inline bool
fixed_product(FixedUint a, FixedUint b, FixedUint *product)
{
	if (fixed_likely(((a | b) >> 64) == 0))
		*product = a * b;
	else
	{
		FixedUint	high;

		fixed_wide_product(a, b, &high, product);
		if (high != 0)
			return false;
	}
	return *product <= FIXED_MAX;
}

/* Decimal digits of a: 0 for 0. */
static inline int
fixed_digits(FixedUint a)
{
	uint64_t	high = (uint64_t) (a >> 64);
	int			bits;
	int			digits;

	if (a == 0)
		return 0;
	bits = high != 0 ? 128 - __builtin_clzll(high) :
		64 - __builtin_clzll((uint64_t) a);
	/* 1233 / 4096 is just below log10(2): right, or one too few */
	digits = (bits * 1233) >> 12;
	return digits + (a >= fixed_power(digits));
}

/*
 * (high, low) / divisor, where high < divisor, so that the quotient has 128
 * bits.  Long division by digits of 64 bits (Knuth, volume 2, 4.3.1 D).
 */
static inline FixedUint
fixed_wide_quotient(FixedUint high, FixedUint low, FixedUint divisor,
					FixedUint *remainder)
{
	int			shift;
	uint64_t	d1;
	uint64_t	d0;
	uint64_t	digit[2];

	if (high == 0)
	{
		FixedUint	quotient = low / divisor;

		*remainder = low - quotient * divisor;
		return quotient;
	}

	/* high < divisor, so the divisor is not zero */
	shift = (divisor >> 64) != 0 ? __builtin_clzll((uint64_t) (divisor >> 64)) :
		64 + __builtin_clzll((uint64_t) divisor);
	if (shift > 0)
	{
		divisor <<= shift;
		high = (high << shift) | (low >> (128 - shift));
		low <<= shift;
	}
	d1 = (uint64_t) (divisor >> 64);
	d0 = (uint64_t) divisor;

	for (int i = 0; i < 2; i++)
	{
		uint64_t	next = (uint64_t) (low >> 64);
		FixedUint	guess = high / d1;
		FixedUint	rest = high - guess * d1;

		/* at most two too large */
		while ((guess >> 64) != 0 || (FixedUint) (uint64_t) guess * d0 > ((rest << 64) | next))
		{
			guess--;
			rest += d1;
			if ((rest >> 64) != 0)
				break;
		}
		/* modulo 2^128, where the true value is in [0, divisor) */
		high = ((high << 64) | next) - guess * divisor;
		low <<= 64;
		digit[i] = (uint64_t) guess;
	}
	*remainder = high >> shift;
	return ((FixedUint) digit[0] << 64) | digit[1];
}

/* a with more decimals, or as many: the same number */
fixed_inline bool
fixed_extend(Fixed *a, int scale)
{
	int			more = scale - a->scale;
	FixedUint	magnitude;

	/* unsigned, so that a compiler sees that it is within the table */
	if (fixed_likely(fixed_is_small(a->value) && (unsigned int) more < 19))
		a->value = fixed_small_product(a->value, fixed_powers[more]);
	else if (a->value != 0)
	{
		if (more > 38 ||
			!fixed_product(fixed_magnitude(a->value), fixed_power(more), &magnitude))
			return false;
		a->value = a->value < 0 ? -(FixedInt) magnitude : (FixedInt) magnitude;
	}
	a->scale = scale;
	return true;
}

fixed_inline bool
fixed_add(Fixed a, Fixed b, Fixed *sum)
{
	FixedInt	value;
	int			more = a.scale - b.scale;

	/*
	 * The usual case: both in 64 bits.  One of the powers is 1; which one
	 * differs from row to row.
	 */
	if (fixed_likely(fixed_is_small(a.value) && fixed_is_small(b.value) && more >= -18 && more <= 18))
	{
		int			more_a = more < 0 ? -more : 0;
		int			more_b = more > 0 ? more : 0;

		sum->value = fixed_small_product(a.value, fixed_powers[more_a]) +
			fixed_small_product(b.value, fixed_powers[more_b]);
		sum->scale = a.scale + more_a;
		return true;
	}
	if (a.scale != b.scale &&
		!(a.scale < b.scale ? fixed_extend(&a, b.scale) : fixed_extend(&b, a.scale)))
		return false;
	/* neither is below -FIXED_MAX, but their sum may be just there */
	if (__builtin_add_overflow(a.value, b.value, &value) ||
		fixed_magnitude(value) > FIXED_MAX)
		return false;
	sum->value = value;
	sum->scale = a.scale;
	return true;
}

fixed_inline Fixed
fixed_negate(Fixed a)
{
	a.value = -a.value;
	return a;
}

fixed_inline bool
fixed_subtract(Fixed a, Fixed b, Fixed *difference)
{
	return fixed_add(a, fixed_negate(b), difference);
}

fixed_inline bool
fixed_multiply(Fixed a, Fixed b, Fixed *product)
{
	FixedUint	magnitude;

	if (fixed_unlikely(a.scale + b.scale > FIXED_MAX_SCALE))
		return false;
	if (fixed_likely(fixed_is_small(a.value) && fixed_is_small(b.value)))
		product->value = fixed_small_product(a.value, b.value);
	else
	{
		if (!fixed_product(fixed_magnitude(a.value), fixed_magnitude(b.value), &magnitude))
			return false;
		product->value = (a.value < 0) != (b.value < 0) ? -(FixedInt) magnitude : (FixedInt) magnitude;
	}
	product->scale = a.scale + b.scale;
	return true;
}

/* -1, 0 or 1 */
fixed_inline int
fixed_compare(Fixed a, Fixed b)
{
	if (a.scale != b.scale &&
		!(a.scale < b.scale ? fixed_extend(&a, b.scale) : fixed_extend(&b, a.scale)))
	{
		/* what cannot be extended is further from zero */
		return a.scale < b.scale ? fixed_sign(a) : -fixed_sign(b);
	}
	return (a.value > b.value) - (a.value < b.value);
}

/* One more than the truncated quotient?  Its sign is that of the exact one. */
fixed_inline bool
fixed_rounds_away(FixedUint remainder, FixedUint divisor, bool negative,
				  FixedRounding rounding)
{
	if (remainder == 0)
		return false;
	if (rounding == FIXED_HALF_AWAY)
		return remainder >= divisor - remainder;
	return (rounding == FIXED_DOWN) == negative;
}

/* dividend * 10^shift / divisor as an integer; the divisor is not zero */
static inline bool
fixed_quotient(FixedUint dividend, FixedUint divisor, int shift, bool negative,
			   FixedRounding rounding, FixedUint *quotient)
{
	FixedUint	high = 0;
	FixedUint	remainder;

	if (shift > 0)
	{
		if (shift > 38)
			return false;
		if (fixed_likely((dividend >> 64) == 0 && shift < 20))
			dividend *= fixed_powers[shift];
		else
			fixed_wide_product(dividend, fixed_power(shift), &high, &dividend);
	}
	else if (shift < 0 &&
			 (shift < -38 || !fixed_product(divisor, fixed_power(-shift), &divisor)))
		return false;
	if (fixed_unlikely(high >= divisor))
		return false;
	*quotient = fixed_wide_quotient(high, dividend, divisor, &remainder);
	*quotient += fixed_rounds_away(remainder, divisor, negative, rounding);
	return *quotient <= FIXED_MAX;
}

/* a / b with exactly scale decimals, b not zero */
fixed_inline bool
fixed_divide(Fixed a, Fixed b, int scale, FixedRounding rounding, Fixed *quotient)
{
	bool		negative = (a.value < 0) != (b.value < 0);
	FixedUint	magnitude = 0;

	if (fixed_unlikely(scale > FIXED_MAX_SCALE) ||
		(a.value != 0 &&
		 !fixed_quotient(fixed_magnitude(a.value), fixed_magnitude(b.value),
						 scale + b.scale - a.scale, negative, rounding, &magnitude)))
		return false;
	quotient->value = negative ? -(FixedInt) magnitude : (FixedInt) magnitude;
	quotient->scale = scale;
	return true;
}

/* a with exactly scale decimals */
fixed_inline bool
fixed_round(Fixed a, int scale, FixedRounding rounding, Fixed *rounded)
{
	Fixed		one = {1, 0};

	*rounded = a;
	if (scale >= a.scale)
		return scale <= FIXED_MAX_SCALE && fixed_extend(rounded, scale);
	return fixed_divide(a, one, scale, rounding, rounded);
}

/*
 * The first digit to the base 10000, at its place: weight 0 counts units,
 * weight 1 ten thousands, weight -1 ten thousandths.  Both 0 for 0.
 */
static inline void
fixed_first_digit(FixedUint magnitude, int scale, int *weight, int *first)
{
	int			place;			/* of the first decimal digit, units are 0 */
	int			behind;			/* decimal digits behind those of the first */

	*weight = *first = 0;
	if (magnitude == 0)
		return;
	place = fixed_digits(magnitude) - 1 - scale;
	*weight = place >= 0 ? place / 4 : -((3 - place) / 4);
	behind = scale + 4 * *weight;
	if (behind < 0)
		*first = (int) magnitude * (int) fixed_powers[-behind];
	else if (fixed_likely((magnitude >> 64) == 0 && behind < 20))
		*first = (int) ((uint64_t) magnitude / fixed_powers[behind]);
	else
		*first = (int) (magnitude / fixed_power(behind));
}

/*
 * How many decimals NUMERIC gives to a / b: at least 16 significant digits
 * and no fewer than either has (select_div_scale in numeric.c).
 */
fixed_inline int
fixed_quotient_scale(Fixed a, Fixed b)
{
	int			weight_a;
	int			weight_b;
	int			first_a;
	int			first_b;
	int			scale;

	fixed_first_digit(fixed_magnitude(a.value), a.scale, &weight_a, &first_a);
	fixed_first_digit(fixed_magnitude(b.value), b.scale, &weight_b, &first_b);
	scale = 16 - 4 * (weight_a - weight_b - (first_a <= first_b));
	if (scale < a.scale)
		scale = a.scale;
	if (scale < b.scale)
		scale = b.scale;
	return scale < 0 ? 0 : scale > 1000 ? 1000 : scale;
}

/*
 * Stored numbers.  What NUMERIC holds behind its length word:
 *
 *	short	16 bits: 1, 0, sign, 6 bits of scale, 7 bits of weight (signed)
 *	long	16 bits: 0, sign, 14 bits of scale; 16 bits of weight (signed)
 *	other	the first two bits are 1, 1: NaN and infinities
 *
 * and then the digits to the base 10000, 16 bits each, without zeros in front
 * or behind; the first of them counts 10000^weight.  It need not be aligned.
 */

/*
 * The usual case: the short form, with at most four digits, that is 16 decimal
 * ones.  False for everything else.
 *
 * How many digits there are differs from row to row, so nothing branches on
 * it: a wrong guess of the processor costs more than all of this.
 */
fixed_inline bool
fixed_decode_short(const char *data, size_t length, Fixed *number)
{
	/* what the second digit, the last but one and the last count, if read */
	static const uint64_t counts[4][3] = {
		{0, 0, 0}, {0, 0, 100000000}, {100000000, 0, 10000}, {100000000, 10000, 1}
	};
	uint16_t	header;
	uint16_t	digit[4];
	size_t		last = length - 4;	/* bytes before the last digit */
	const uint64_t *count;
	uint64_t	part;
	uint64_t	value;
	int			behind;			/* decimal zeros in part behind the value */

	if (length == 2)
	{
		memcpy(&header, data, 2);
		number->value = 0;
		number->scale = (header >> 7) & 0x3F;
		return (header & 0xC000) == 0x8000;
	}
	if (fixed_unlikely((last & ~(size_t) 6) != 0))	/* 0, 2, 4, 6 */
		return false;
	memcpy(&header, data, 2);
	memcpy(&digit[0], data + 2, 2);
	memcpy(&digit[1], data + 2 + (last < 2 ? last : 2), 2);
	memcpy(&digit[2], data + last, 2);
	memcpy(&digit[3], data + 2 + last, 2);
	count = counts[last / 2];
	part = digit[0] * fixed_powers[12] + digit[1] * count[0] + digit[2] * count[1] +
		digit[3] * count[2];

	number->scale = (header >> 7) & 0x3F;
	behind = 12 - number->scale - 2 * (int8_t) (header << 1);
	if (fixed_unlikely((header & 0xC000) != 0x8000 || (unsigned) behind > 15))
		return false;
	/* a quotient without a remainder: by 2^n, and times 1 / 5^n modulo 2^64 */
	value = (part >> behind) * fixed_inverses[behind];
	if (fixed_unlikely((FixedUint) value * fixed_powers[behind] != part))
		return false;
	number->value = (header & 0x2000) != 0 ? -(int64_t) value : (int64_t) value;
	return true;
}

fixed_inline bool
fixed_decode(const char *data, size_t length, Fixed *number)
{
	uint16_t	header;
	int			weight;
	int			digits;
	int			excess;			/* decimals stored beyond the scale */
	bool		negative;
	uint16_t	digit;
	uint64_t	part = 0;
	FixedUint	magnitude;

	if (fixed_decode_short(data, length, number))
		return true;
	if (length < 2)
		return false;
	memcpy(&header, data, 2);
	if ((header & 0xC000) == 0x8000)
	{
		negative = (header & 0x2000) != 0;
		number->scale = (header >> 7) & 0x3F;
		weight = (int) ((header & 0x7F) ^ 0x40) - 0x40;
		data += 2;
		length -= 2;
	}
	else
	{
		int16_t		long_weight;

		if ((header & 0xC000) == 0xC000 || length < 4)
			return false;
		memcpy(&long_weight, data + 2, 2);
		negative = (header & 0x4000) != 0;
		number->scale = header & 0x3FFF;
		weight = long_weight;
		data += 4;
		length -= 4;
	}
	digits = (int) (length / 2);
	if (fixed_unlikely(length > 20 || number->scale > FIXED_MAX_SCALE))
		return false;
	if (digits == 0)
	{
		number->value = 0;
		return true;
	}

	excess = 4 * (digits - 1 - weight) - number->scale;
	if (fixed_unlikely(excess > 3))
		return false;

	/* all but the last; that one is cut to the scale */
	digits--;
	for (int i = 0; i < digits && i < 4; i++)
	{
		memcpy(&digit, data + 2 * i, 2);
		part = part * 10000 + digit;
	}
	magnitude = part;
	for (int i = 4; i < digits; i++)
	{
		memcpy(&digit, data + 2 * i, 2);
		magnitude = magnitude * 10000 + digit;
	}
	memcpy(&digit, data + 2 * digits, 2);
	if (excess > 0)
	{
		unsigned	cut = (unsigned) fixed_powers[excess];

		if (fixed_unlikely(digit % cut != 0 || magnitude > FIXED_MAX / (10000 / cut)))
			return false;
		magnitude = magnitude * (10000 / cut) + digit / cut;
	}
	else
	{
		if (fixed_unlikely(magnitude > FIXED_MAX / 10000))
			return false;
		magnitude = magnitude * 10000 + digit;
		if (excess < 0 &&
			(excess < -38 ||
			 !fixed_product(magnitude, fixed_power(-excess), &magnitude)))
			return false;
	}
	if (fixed_unlikely(magnitude > FIXED_MAX))
		return false;
	number->value = negative ? -(FixedInt) magnitude : (FixedInt) magnitude;
	return true;
}

/* The bytes that fixed_encode() may write. */
fixed_inline int
fixed_encoded_room(FixedInt value, int scale)
{
	return fixed_magnitude(value) < fixed_powers[16 - (-scale & 3)] ? 12 : FIXED_MAX_BYTES;
}

/* Sixteen decimal digits as four to the base 10000, the first one lowest. */
fixed_inline uint64_t
fixed_four_digits(uint64_t part)
{
	uint32_t	high = (uint32_t) (part / 100000000);
	uint32_t	low = (uint32_t) (part - (uint64_t) high * 100000000);

	return (uint64_t) (high / 10000) | (uint64_t) (high % 10000) << 16 |
		(uint64_t) (low / 10000) << 32 | (uint64_t) (low % 10000) << 48;
}

fixed_inline void
fixed_write_digits(uint64_t digits, char *data)
{
	uint16_t	digit[4] = {
		(uint16_t) digits, (uint16_t) (digits >> 16),
		(uint16_t) (digits >> 32), (uint16_t) (digits >> 48)
	};

	memcpy(data, digit, 8);
}

/*
 * The stored form, as NUMERIC itself writes it; gives the number of bytes.
 * Digits are made and written four at a time, so that more is written than
 * this says: see fixed_encoded_room().
 */
fixed_inline int
fixed_encode(FixedInt value, int scale, char *data)
{
	FixedUint	magnitude = fixed_magnitude(value);
	int			missing = -scale & 3;	/* decimals that fill the last digit */
	uint64_t	base = fixed_powers[16 - missing];
	uint64_t	front;			/* the first four digits */
	uint64_t	rest[2];		/* the others, the last ones first */
	int			n = 0;
	int			zeros = 0;		/* in front */
	int			weight = 0;
	int			length = 2;
	uint16_t	header;

	if (fixed_likely(magnitude < base))
		front = fixed_four_digits((uint64_t) magnitude * fixed_powers[missing]);
	else
	{
		uint64_t	filling = fixed_powers[missing];

		do
		{
			FixedUint	quotient = (magnitude >> 64) == 0 ? (uint64_t) magnitude / base :
				magnitude / base;

			rest[n++] = fixed_four_digits((uint64_t) (magnitude - quotient * base) * filling);
			magnitude = quotient;
			base = fixed_powers[16];
			filling = 1;
		} while (magnitude >= base);
		front = fixed_four_digits((uint64_t) magnitude);
	}
	if (fixed_likely(front != 0))
	{
		zeros = __builtin_ctzll(front) / 16;
		weight = 4 * (n + 1) - zeros - (scale + 3) / 4 - 1;
	}

	if (fixed_likely(scale <= 0x3F && weight >= -64 && weight <= 63))
		header = (uint16_t) (0x8000 | (value < 0 ? 0x2000 : 0) |
							 (scale << 7) | (weight & 0x7F));
	else
	{
		int16_t		long_weight = (int16_t) weight;

		header = (uint16_t) ((value < 0 ? 0x4000 : 0) | scale);
		memcpy(data + 2, &long_weight, 2);
		length = 4;
	}
	memcpy(data, &header, 2);
	if (front == 0)
		return length;
	fixed_write_digits(front >> (16 * zeros), data + length);
	length += 2 * (4 - zeros);
	for (int i = n - 1; i >= 0; i--)
	{
		fixed_write_digits(rest[i], data + length);
		length += 8;
	}

	/* zeros behind */
	for (int i = 0; i < n; i++)
	{
		if (rest[i] != 0)
			return length - 2 * (__builtin_clzll(rest[i]) / 16);
		length -= 8;
	}
	return length - 2 * (__builtin_clzll(front) / 16);
}

#endif							/* RISK_FIXED_H */
