// A sentence that needs attention, with the command that mends it.

import { type ComponentChildren, toChildArray } from 'preact'
import { SafeText } from './bytes-text.tsx'
import { CopyButton } from './copy-button.tsx'
import './notice.css'

interface NoticeProps {
  /** `problem`: something is broken. `warning`: something will be, or its outcome is unknown. */
  readonly kind: 'problem' | 'warning' | 'note'
  readonly children: ComponentChildren
  readonly command?: string | undefined
}

export function Notice({ kind, children, command }: NoticeProps) {
  return (
    <div class={`notice notice-${kind}`} role={kind === 'note' ? 'status' : 'alert'}>
      <div>{toChildArray(children).map(safeChild)}</div>
      {command !== undefined && (
        <div class="notice-command">
          <code>{command}</code>
          <CopyButton text={command} what="the command" />
        </div>
      )}
    </div>
  )
}

/** A sentence may contain what a node answered, and so what others wrote. */
const safeChild = (child: ReturnType<typeof toChildArray>[number]): ComponentChildren =>
  typeof child === 'string' ? <SafeText text={child} /> : child
