import { nullableText, LINES } from '../../common/validation/fields.js';

export const DescriptionField = () => nullableText(1000, 'Important document', LINES);
