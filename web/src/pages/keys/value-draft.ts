// A value as it is edited in a text area, which turns every line end into LF. What it would change otherwise is edited
// in hexadecimal, so that an edit changes no byte that the user did not touch.

import { encodeUtf8, utf8Text } from '../../../../src/bytes/index.ts'
import { toHex } from '../../design/bytes-text.tsx'
import { fromHex } from './key-route.ts'

export interface ValueDraft {
  readonly form: 'text' | 'hex'
  readonly text: string
  /** The line end that LF stands for. */
  readonly lineEnd: '\n' | '\r\n'
}

/** Control characters beside tabs and line ends: nobody would see them in the text area. */
const HIDDEN = /[^\P{Cc}\t\r\n]/u

export function createDraft(value: Uint8Array): ValueDraft {
  const text = utf8Text(value)
  if (text === undefined || HIDDEN.test(text) || hasMixedLineEnds(text))
    return { form: 'hex', text: toHex(value), lineEnd: '\n' }
  return { form: 'text', text: text.replaceAll('\r\n', '\n'), lineEnd: text.includes('\r') ? '\r\n' : '\n' }
}

/** Whether the text has a CR, and not in each of its line ends. */
const hasMixedLineEnds = (text: string): boolean =>
  text.includes('\r') && /[\r\n]/.test(text.replaceAll('\r\n', ''))

/** The bytes of the edited value; undefined: the text is no hexadecimal. */
export function readDraft({ form, text, lineEnd }: ValueDraft): Uint8Array | undefined {
  if (form === 'text') return encodeUtf8(text.replaceAll('\n', lineEnd))
  const digits = text.replaceAll(/\s/g, '')
  return digits === '' ? new Uint8Array() : fromHex(digits)
}
