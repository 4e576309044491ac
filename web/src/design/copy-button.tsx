import { useEffect, useState } from 'preact/hooks'
import { Button } from './button.tsx'

const SHOWN_MS = 1_500

interface CopyButtonProps {
  readonly text: string | (() => string)
  /** The name of the text: `the command`. */
  readonly what: string
  /** The word on the button. */
  readonly children?: string
}

export function CopyButton({ text, what, children = 'Copy' }: CopyButtonProps) {
  const [state, setState] = useState<'ready' | 'copied' | 'failed'>('ready')
  useEffect(() => {
    if (state === 'ready') return
    const timer = setTimeout(() => setState('ready'), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [state])
  const copy = (): void => {
    copyText(typeof text === 'string' ? text : text()).then(
      () => setState('copied'),
      () => setState('failed'),
    )
  }
  return (
    <Button
      kind="quiet"
      onClick={copy}
      title={`Copies ${what}`}
      // A name of one's own must contain the visible word.
      label={children === 'Copy' && state === 'ready' ? `Copy ${what}` : undefined}
    >
      <span aria-live="polite">
        {state === 'ready' ? children : state === 'copied' ? 'Copied' : 'Not allowed'}
      </span>
    </Button>
  )
}

/** Browsers offer the clipboard to secure pages only. A page over plain HTTP selects the text and copies that. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  const isCopied = document.execCommand('copy')
  area.remove()
  if (!isCopied) throw new Error('the browser does not allow it')
}
