// The design of the console (web/src/design), for pages and pictures that stand alone. The package has its files in
// dist/page/design/.

import { readFileSync } from 'node:fs'

// Jest 29 has no `import.meta.filename`.
const FOLDER = import.meta.url.endsWith('.ts') ? '../../web/src/design/' : 'page/design/'

/** The text of one style sheet of the design. */
export const readDesign = (name: string): string =>
  readFileSync(new URL(FOLDER + name, import.meta.url), 'utf8')

/** The colour of a token on light and on dark paper, for pictures that cannot use the style sheet. */
export function findColor(token: string): { readonly light: string; readonly dark: string } {
  const [, light, dark] =
    readDesign('tokens.css').match(`--${token}: light-dark\\((#\\w+), (#\\w+)\\);`) ?? []
  if (light === undefined || dark === undefined) throw new Error(`the design has no colour ${token}`)
  return { light, dark }
}
