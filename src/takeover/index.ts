export { flowsText, type OldFlow, totalOf } from './conntrack.js';
export { TakeoverError } from './errors.js';
export { type Machine, realMachine } from './machine.js';
export { type DoResult, finishTakeover, giveBack, takeOver, type UndoResult } from './perform.js';
export { type DoOptions, onlyShunts, type Plan, planDo, planUndo } from './plan.js';
export { IDENTITY_PATH } from './probe.js';
export type { FamilyPort } from './rules.js';
export { ALIVE_WITHIN_S, type ShuntControl, type ShuntState } from './shunt.js';
export { type FoundState, foundState, hasState, type Survey, survey } from './survey.js';
