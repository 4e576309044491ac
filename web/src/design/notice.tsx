// A sentence that needs attention, with the command that mends it.

import type { ComponentChildren } from 'preact'
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
      <div>{children}</div>
      {command !== undefined && (
        <div class="notice-command">
          <code>{command}</code>
          <CopyButton text={command} what="the command" />
        </div>
      )}
    </div>
  )
}
