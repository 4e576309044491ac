// The exports of this folder (README.md).

export { isRecipeSchedule, runRecipes } from './run.ts'
export { judgedAny, RecipeSearch, replayAny } from './search.ts'
