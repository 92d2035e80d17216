// Package pages makes what people get to read and print: the copy of a person's data, one conversation, and the certificate of an erasure as a letter, in
// English and French.
//
// # What a page is
//
// One HTML document that needs nothing beside itself: no script, no picture, no font, no address that a browser would fetch. [Policy], sent as a header and
// written into the page (which is kept as a file), allows its one style sheet, by its hash, and nothing else. It ends with </html>: one that does not was cut off.
//
// # Hostile text
//
// What was said, and every name that somebody else chose, reaches the page as text through html/template and [plain]: markup shows as it was typed; control
// characters, which have no meaning in a text, show as a replacement; characters that turn the direction of what follows show as their code, since with
// them a message can be made to look like another. Each text has a direction of its own (dir=auto in an isolating element), so that Arabic or Hebrew reads as it was written.
//
// # Memory
//
// A copy and a conversation are written event by event; what is held does not grow with their number.
package pages
