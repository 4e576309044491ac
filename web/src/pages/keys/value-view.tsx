// A value as text, as folded JSON, or in hexadecimal. A value may have a megabyte, so only a part is shown at first.

import { useMemo, useState } from 'preact/hooks'
import { utf8Text } from '../../../../src/bytes/index.ts'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { formatBytes } from '../../design/numbers.ts'
import { parseDocument } from './json-text.ts'
import { JsonView } from './json-view.tsx'
import { findStepsEnd } from './text-steps.ts'

type Form = 'text' | 'json' | 'hex'

const NAMES: Readonly<Record<Form, string>> = { text: 'Text', json: 'JSON', hex: 'Hex' }
/** Bytes that are shown at first, and added with each step. */
const HEX_STEP = 2_048

export function ValueView({ value }: { readonly value: Uint8Array }) {
  const text = useMemo(() => utf8Text(value), [value])
  const json = useMemo(() => (text === undefined ? undefined : parseDocument(text)), [text])
  const [chosen, setChosen] = useState<Form>()
  const forms: readonly Form[] = [
    ...(json === undefined ? [] : ['json' as const]),
    ...(text === undefined ? [] : ['text' as const]),
    'hex',
  ]
  const form = chosen !== undefined && forms.includes(chosen) ? chosen : (forms[0] ?? 'hex')
  if (value.length === 0) return <Empty title="The value is empty" />
  return (
    <div class="value">
      <fieldset class="switch">
        <legend class="visually-hidden">Form of the value</legend>
        {forms.map((each) => (
          <button key={each} type="button" aria-pressed={each === form} onClick={() => setChosen(each)}>
            {NAMES[each]}
          </button>
        ))}
      </fieldset>
      {form === 'json' && json !== undefined && <JsonView json={json} />}
      {form === 'text' && text !== undefined && <TextView text={text} />}
      {form === 'hex' && <HexView bytes={value} />}
    </div>
  )
}

function TextView({ text }: { readonly text: string }) {
  const [steps, setSteps] = useState(1)
  const max = useMemo(() => findStepsEnd(text, steps), [text, steps])
  return (
    <>
      <pre class="value-text">
        <ValueText text={text.slice(0, max)} />
      </pre>
      {text.length > max && (
        <Button kind="quiet" onClick={() => setSteps(steps + 1)}>
          Show more: {formatBytes(text.length - max)} left
        </Button>
      )}
    </>
  )
}

/** Text of several lines. Its line breaks and tabs are carried out. */
function ValueText({ text }: { readonly text: string }) {
  return (
    <>
      {text.split(/(\r?\n|\t)/).map((part, at) => (at % 2 === 1 ? part : <SafeText key={at} text={part} />))}
    </>
  )
}

const ROW = 16

function HexView({ bytes }: { readonly bytes: Uint8Array }) {
  const [max, setMax] = useState(HEX_STEP)
  const lines: string[] = []
  for (let at = 0; at < Math.min(max, bytes.length); at += ROW) {
    const row = bytes.subarray(at, at + ROW)
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = Array.from(row, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·',
    ).join('')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(ROW * 3)} ${text}`)
  }
  return (
    <>
      <pre class="value-text value-hex">{lines.join('\n')}</pre>
      {bytes.length > max && (
        <Button kind="quiet" onClick={() => setMax(max + HEX_STEP)}>
          Show more: {formatBytes(bytes.length - max)} left
        </Button>
      )}
    </>
  )
}
