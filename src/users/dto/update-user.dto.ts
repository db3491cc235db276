import { BioField, EmailField, NameField, PhoneField, UsernameField } from '../../common/validation/fields.js';

/** `PUT` and `PATCH` both change only what is given; `null` clears what may be empty. */
export class UpdateUserDto {
  @EmailField('optional')
  email?: string;

  @UsernameField('optional')
  username?: string;

  @NameField('John Doe')
  full_name?: string | null;

  @NameField('John')
  first_name?: string | null;

  @NameField('Doe')
  last_name?: string | null;

  @BioField()
  bio?: string | null;

  @PhoneField()
  phone_number?: string | null;
}
