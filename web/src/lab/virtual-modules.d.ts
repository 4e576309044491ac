// Modules that the build makes (web/vite.config.ts).

declare module 'virtual:decision-code' {
  const code: import('./code-excerpt.ts').DecisionCode
  export default code
}
