// Public types are declarations of their own: an application reads them, and they reach into no internal file.

/** A public type. It does not compile if it lacks a field of the document that it shows. */
export type Complete<Public extends Readonly<Record<keyof Shown, unknown>>, Shown> = Public
