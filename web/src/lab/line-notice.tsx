// A notice of one line, so that the stage stays in view. A press shows all of it.

import type { ComponentChildren } from 'preact'
import { SafeText } from '../design/bytes-text.tsx'
import { Notice } from '../design/notice.tsx'
import './line-notice.css'

interface LineNoticeProps {
  readonly kind: 'problem' | 'warning' | 'note'
  readonly text: string
  /** Beside the line. */
  readonly children?: ComponentChildren
}

export function LineNotice({ kind, text, children }: LineNoticeProps) {
  return (
    <Notice kind={kind}>
      <div class="line-notice">
        <details>
          <summary title="Shows all of it, or one line">
            <SafeText text={text} />
          </summary>
        </details>
        {children}
      </div>
    </Notice>
  )
}
