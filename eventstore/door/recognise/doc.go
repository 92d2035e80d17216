// Package recognise finds in a text what can harm its author if it is kept: e-mail addresses, phone numbers, bank accounts, payment cards, French social
// security and establishment numbers, and IP addresses. It is pure, and fast enough to look at every message.
//
// # What is found
//
//	email  name@domain.tld, also with letters that are not ASCII
//	phone  international numbers (+ or 00), and national ones of the given regions that are valid there
//	iban   by country, length and check digits (ISO 13616, mod 97-10)
//	card   13 to 19 digits of a known issuer range with a right check digit (ISO/IEC 7812, Luhn)
//	nir    French social security numbers, 13 characters and their key (2A and 2B too)
//	siret  14 digits with a right check digit (Luhn; for La Poste a sum that is a multiple of 5)
//	ip     IPv4 and IPv6 addresses
//
// Digits may be grouped by spaces, dots, hyphens and the like, and may be any decimal digits of Unicode; spaces and hyphens may be any of Unicode's; characters
// that are not seen (zero width) do not hide anything.
//
// # Not guaranteed
//
// This reduces what is kept, it does not remove it: what is misspelt, spoken in words, spread over messages or merely looks like something else is
// not found, and a number that happens to have a right check digit is taken for what it is not.
package recognise
