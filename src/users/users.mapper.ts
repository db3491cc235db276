import type { RegisterDto } from './dto/register.dto.js';
import type { UpdateUserDto } from './dto/update-user.dto.js';
import type { AccountChanges, NewAccount } from './users.service.js';

export const toNewAccount = (body: RegisterDto): NewAccount => ({
  email: body.email,
  password: body.password,
  confirmPassword: body.confirm_password,
  username: body.username,
  fullName: body.full_name,
  firstName: body.first_name,
  lastName: body.last_name,
  role: body.is_superuser ? 'admin' : 'user',
});

export const toAccountChanges = (body: UpdateUserDto): AccountChanges => ({
  email: body.email,
  username: body.username,
  fullName: body.full_name,
  firstName: body.first_name,
  lastName: body.last_name,
  bio: body.bio,
  phoneNumber: body.phone_number,
});
