import { signal } from '@preact/signals'
import { Button } from './button.tsx'
import { Icon, type IconName } from './icon.tsx'
import { keepText, keptText } from './kept-text.ts'

const THEMES = ['auto', 'light', 'dark'] as const
type Theme = (typeof THEMES)[number]
const KEY = 'quorate.theme'
const ICONS: Readonly<Record<Theme, IconName>> = { auto: 'auto', light: 'sun', dark: 'moon' }

/** `auto`: that of the system. */
const NAMES: Readonly<Record<Theme, string>> = {
  auto: 'Auto theme',
  light: 'Light theme',
  dark: 'Dark theme',
}

const store = () => localStorage
const stored = keptText(store, KEY)
const theme = signal<Theme>(THEMES.find((each) => each === stored) ?? 'auto')

theme.subscribe((value) => {
  if (value === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = value
})

/** Chooses between the theme of the system, light and dark. */
export function ThemeButton() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto'
  const choose = (): void => {
    theme.value = next
    keepText(store, KEY, next)
  }
  return (
    <Button kind="quiet" onClick={choose} title={`Change to ${NAMES[next]}`}>
      <Icon name={ICONS[theme.value]} /> {NAMES[theme.value]}
    </Button>
  )
}
